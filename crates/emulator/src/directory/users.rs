//! `/users`: listing and reading. Writing users is not served.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    Call, GraphError, Reply, Service, User,
    odata::{Options, Schema},
};

use super::{PAGE, list_options};

/// `microsoft.graph.user` without `mailboxSettings`, which is served only at its own path.
static USER: Schema = Schema {
    name: "microsoft.graph.user",
    properties: &[
        "id",
        "deletedDateTime",
        "aboutMe",
        "accountEnabled",
        "ageGroup",
        "assignedLicenses",
        "assignedPlans",
        "businessPhones",
        "city",
        "companyName",
        "consentProvidedForMinor",
        "country",
        "createdDateTime",
        "creationType",
        "department",
        "displayName",
        "employeeHireDate",
        "employeeId",
        "employeeLeaveDateTime",
        "employeeOrgData",
        "employeeType",
        "externalUserState",
        "externalUserStateChangeDateTime",
        "faxNumber",
        "givenName",
        "identities",
        "imAddresses",
        "isManagementRestricted",
        "isResourceAccount",
        "jobTitle",
        "lastPasswordChangeDateTime",
        "legalAgeGroupClassification",
        "licenseAssignmentStates",
        "mail",
        "mailNickname",
        "mobilePhone",
        "officeLocation",
        "onPremisesDistinguishedName",
        "onPremisesDomainName",
        "onPremisesExtensionAttributes",
        "onPremisesImmutableId",
        "onPremisesLastSyncDateTime",
        "onPremisesProvisioningErrors",
        "onPremisesSamAccountName",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "onPremisesUserPrincipalName",
        "otherMails",
        "passwordPolicies",
        "passwordProfile",
        "postalCode",
        "preferredDataLocation",
        "preferredLanguage",
        "provisionedPlans",
        "proxyAddresses",
        "securityIdentifier",
        "serviceProvisioningErrors",
        "showInAddressList",
        "signInActivity",
        "signInSessionsValidFromDateTime",
        "state",
        "streetAddress",
        "surname",
        "usageLocation",
        "userPrincipalName",
        "userType",
    ],
    navigation: &[],
    always: &[],
    default: &[
        "businessPhones",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
        "id",
    ],
    service: Service::Directory,
};

/// Properties that are lists: empty, never null, when a user has none.
const LISTS: [&str; 10] = [
    "assignedLicenses",
    "assignedPlans",
    "businessPhones",
    "identities",
    "imAddresses",
    "licenseAssignmentStates",
    "onPremisesProvisioningErrors",
    "otherMails",
    "provisionedPlans",
    "proxyAddresses",
];

/// `GET /users`
pub(super) fn list(call: &Call) -> Result<Reply, GraphError> {
    if call.query.get("$search").is_some() {
        return Err(GraphError::unsupported_query(
            "The search query option is not supported by the emulator.",
        ));
    }
    let options = list_options(call, &USER)?;
    let users = call.tenant.users();
    Ok(options.list(call, "users", &users, PAGE, row))
}

/// `GET /users/{user}`
pub(super) fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &USER)?;
    let user = call.user()?;
    Ok(options.entity(call, "users", row(&user)))
}

/// All properties, those that the user lacks included, in the order of the defaults first.
fn row(user: &Arc<User>) -> Value {
    let mut row = Map::new();
    for name in USER.default.iter().chain(USER.properties) {
        let value = user.properties.get(*name).cloned();
        let missing = if LISTS.contains(name) {
            Value::Array(Vec::new())
        } else {
            Value::Null
        };
        row.insert((*name).to_owned(), value.unwrap_or(missing));
    }
    Value::Object(row)
}

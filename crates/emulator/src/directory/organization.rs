//! `/organization`: the tenant itself.

use serde_json::{Value, json};

use crate::{
    Call, GraphError, Reply, Service,
    odata::{Options, PageSize, Schema},
};

static ORGANIZATION: Schema = Schema {
    name: "microsoft.graph.organization",
    properties: &[
        "id",
        "deletedDateTime",
        "assignedPlans",
        "businessPhones",
        "city",
        "country",
        "countryLetterCode",
        "createdDateTime",
        "defaultUsageLocation",
        "displayName",
        "marketingNotificationEmails",
        "onPremisesLastSyncDateTime",
        "onPremisesSyncEnabled",
        "postalCode",
        "preferredLanguage",
        "privacyProfile",
        "provisionedPlans",
        "securityComplianceNotificationMails",
        "securityComplianceNotificationPhones",
        "state",
        "street",
        "technicalNotificationMails",
        "tenantType",
        "verifiedDomains",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Directory,
};

/// There is one organization in a tenant.
const PAGE: PageSize = PageSize { default: 1, max: 1 };

/// `GET /organization`
pub(super) fn list(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &ORGANIZATION)?;
    Ok(options.list(call, "organization", &[()], PAGE, |()| row(call)))
}

/// `GET /organization/{organization}`
pub(super) fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &ORGANIZATION)?;
    let id = call.param("organization");
    if id != call.tenant.id.to_string() {
        return Err(GraphError::directory_not_found(id));
    }
    Ok(options.entity(call, "organization", row(call)))
}

fn row(call: &Call) -> Value {
    let tenant = &call.tenant;
    json!({
        "id": tenant.id,
        "deletedDateTime": null,
        "businessPhones": [],
        "city": null,
        "country": null,
        "countryLetterCode": "DE",
        "createdDateTime": tenant.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "defaultUsageLocation": null,
        "displayName": tenant.display_name,
        "marketingNotificationEmails": [],
        "onPremisesLastSyncDateTime": null,
        "onPremisesSyncEnabled": null,
        "postalCode": null,
        "preferredLanguage": "en",
        "privacyProfile": null,
        "securityComplianceNotificationMails": [],
        "securityComplianceNotificationPhones": [],
        "state": null,
        "street": null,
        "technicalNotificationMails": [],
        "tenantType": "AAD",
        "assignedPlans": [],
        "provisionedPlans": [],
        "verifiedDomains": [{
            "capabilities": "Email, OfficeCommunicationsOnline",
            "isDefault": true,
            "isInitial": true,
            "name": tenant.domain,
            "type": "Managed",
        }],
    })
}

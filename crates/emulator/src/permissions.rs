//! Microsoft Graph's permissions: the app roles and scopes that its service principal offers, in Microsoft's words.
//!
//! Of Graph's eight hundred, those that the routes here ask for and those that an application for backup may want. A name that is not here does
//! not exist for the emulator: asking for it is refused as for an invented one.

use uuid::{Uuid, uuid};

/// The application id of Microsoft Graph.
pub(crate) const GRAPH: Uuid = uuid!("00000003-0000-0000-c000-000000000000");

/// A permission for applications.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AppRole {
    pub(crate) value: &'static str,
    pub(crate) id: Uuid,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// A permission on behalf of a signed-in person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) value: &'static str,
    pub(crate) id: Uuid,
    /// Whether only an administrator may grant it.
    pub(crate) admin_only: bool,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// What a person reads who grants it for themselves.
    pub(crate) user_name: &'static str,
}

/// An app role by its id.
pub(crate) fn role(id: Uuid) -> Option<&'static AppRole> {
    ROLES.iter().find(|role| role.id == id)
}

/// An app role by its name, exactly.
pub(crate) fn role_named(value: &str) -> Option<&'static AppRole> {
    ROLES.iter().find(|role| role.value == value)
}

/// A scope by its id.
pub(crate) fn scope(id: Uuid) -> Option<&'static Scope> {
    SCOPES.iter().find(|scope| scope.id == id)
}

/// A scope by its name, in any case.
pub(crate) fn scope_named(value: &str) -> Option<&'static Scope> {
    SCOPES
        .iter()
        .find(|scope| scope.value.eq_ignore_ascii_case(value))
}

/// Names and ids of all permissions, with whether each is one for applications.
#[must_use]
pub fn permissions() -> Vec<(&'static str, Uuid, bool)> {
    let roles = ROLES.iter().map(|role| (role.value, role.id, true));
    let scopes = SCOPES.iter().map(|scope| (scope.value, scope.id, false));
    roles.chain(scopes).collect()
}

pub(crate) static ROLES: &[AppRole] = &[
    AppRole {
        value: "AppRoleAssignment.ReadWrite.All",
        id: uuid!("06b708a9-e830-4db3-a914-8e69da51d44f"),
        name: "Manage app permission grants and app role assignments",
        description: "Allows the app to manage permission grants for application permissions to any API (including Microsoft Graph) and application assignments for any app, without a signed-in user.",
    },
    AppRole {
        value: "Application.Read.All",
        id: uuid!("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"),
        name: "Read all applications",
        description: "Allows the app to read all applications and service principals without a signed-in user.",
    },
    AppRole {
        value: "Application.ReadWrite.All",
        id: uuid!("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"),
        name: "Read and write all applications",
        description: "Allows the app to create, read, update and delete applications and service principals without a signed-in user. Does not allow management of consent grants.",
    },
    AppRole {
        value: "AuditLog.Read.All",
        id: uuid!("b0afded3-3588-46d8-8b3d-9842eff778da"),
        name: "Read all audit log data",
        description: "Allows the app to read and query your audit log activities, without a signed-in user.",
    },
    AppRole {
        value: "Calendars.Read",
        id: uuid!("798ee544-9d2d-430c-a058-570e29e34338"),
        name: "Read calendars in all mailboxes",
        description: "Allows the app to read events of all calendars without a signed-in user.",
    },
    AppRole {
        value: "Calendars.ReadWrite",
        id: uuid!("ef54d2bf-783f-4e0f-bca1-3210c0444d99"),
        name: "Read and write calendars in all mailboxes",
        description: "Allows the app to create, read, update, and delete events of all calendars without a signed-in user.",
    },
    AppRole {
        value: "Channel.ReadBasic.All",
        id: uuid!("59a6b24b-4225-4393-8165-ebaec5f55d7a"),
        name: "Read the names and descriptions of all channels",
        description: "Read all channel names and channel descriptions, without a signed-in user.",
    },
    AppRole {
        value: "ChannelMessage.Read.All",
        id: uuid!("7b2449af-6ccd-4f4d-9f78-e550c193f0d1"),
        name: "Read all channel messages",
        description: "Allows the app to read all channel messages in Microsoft Teams, without a signed-in user.",
    },
    AppRole {
        value: "Chat.Read.All",
        id: uuid!("6b7d71aa-70aa-4810-a8d9-5d9fb2830017"),
        name: "Read all chat messages",
        description: "Allows the app to read all 1-to-1 or group chat messages in Microsoft Teams, without a signed-in user.",
    },
    AppRole {
        value: "Contacts.Read",
        id: uuid!("089fe4d0-434a-44c5-8827-41ba8a0b17f5"),
        name: "Read contacts in all mailboxes",
        description: "Allows the app to read all contacts in all mailboxes without a signed-in user.",
    },
    AppRole {
        value: "Contacts.ReadWrite",
        id: uuid!("6918b873-d17a-4dc1-b314-35f528134491"),
        name: "Read and write contacts in all mailboxes",
        description: "Allows the app to create, read, update, and delete all contacts in all mailboxes without a signed-in user.",
    },
    AppRole {
        value: "DelegatedPermissionGrant.ReadWrite.All",
        id: uuid!("8e8e4742-1d95-4f68-9d56-6ee75648c72a"),
        name: "Manage all delegated permission grants",
        description: "Allows the app to manage permission grants for delegated permissions exposed by any API (including Microsoft Graph), without a signed-in user.",
    },
    AppRole {
        value: "Directory.Read.All",
        id: uuid!("7ab1d382-f21e-4acd-a863-ba3e13f7da61"),
        name: "Read directory data",
        description: "Allows the app to read data in your organization's directory, such as users, groups and apps, without a signed-in user.",
    },
    AppRole {
        value: "Directory.ReadWrite.All",
        id: uuid!("19dbc75e-c2e2-444c-a770-ec69d8559fc7"),
        name: "Read and write directory data",
        description: "Allows the app to read and write data in your organization's directory, such as users, and groups, without a signed-in user. Does not allow user or group deletion.",
    },
    AppRole {
        value: "Domain.Read.All",
        id: uuid!("dbb9058a-0e50-45d7-ae91-66909b5d4664"),
        name: "Read domains",
        description: "Allows the app to read all domain properties without a signed-in user.",
    },
    AppRole {
        value: "Files.Read.All",
        id: uuid!("01d4889c-1287-42c6-ac1f-5d1e02578ef6"),
        name: "Read files in all site collections",
        description: "Allows the app to read all files in all site collections without a signed in user.",
    },
    AppRole {
        value: "Files.ReadWrite.All",
        id: uuid!("75359482-378d-4052-8f01-80520e7db3cd"),
        name: "Read and write files in all site collections",
        description: "Allows the app to read, create, update and delete all files in all site collections without a signed in user.",
    },
    AppRole {
        value: "Group.Read.All",
        id: uuid!("5b567255-7703-4780-807c-7be8301ae99b"),
        name: "Read all groups",
        description: "Allows the app to read group properties and memberships, and read conversations for all groups, without a signed-in user.",
    },
    AppRole {
        value: "Group.ReadWrite.All",
        id: uuid!("62a82d76-70ea-41e2-9197-370581804d09"),
        name: "Read and write all groups",
        description: "Allows the app to create groups, read all group properties and memberships, update group properties and memberships, and delete groups. All of these operations can be performed by the app without a signed-in user.",
    },
    AppRole {
        value: "GroupMember.Read.All",
        id: uuid!("98830695-27a2-44f7-8c18-0c3ebc9698f6"),
        name: "Read all group memberships",
        description: "Allows the app to read memberships and basic group properties for all groups without a signed-in user.",
    },
    AppRole {
        value: "Mail.Read",
        id: uuid!("810c84a8-4a9e-49e6-bf7d-12d183f40d01"),
        name: "Read mail in all mailboxes",
        description: "Allows the app to read mail in all mailboxes without a signed-in user.",
    },
    AppRole {
        value: "Mail.ReadBasic.All",
        id: uuid!("693c5e45-0940-467d-9b8a-1022fb9d42ef"),
        name: "Read basic mail in all mailboxes",
        description: "Allows the app to read basic mail properties in all mailboxes without a signed-in user. Includes all properties except body, previewBody, attachments and any extended properties.",
    },
    AppRole {
        value: "Mail.ReadWrite",
        id: uuid!("e2a3a72e-5f79-4c64-b1b1-878b674786c9"),
        name: "Read and write mail in all mailboxes",
        description: "Allows the app to create, read, update, and delete mail in all mailboxes without a signed-in user. Does not include permission to send mail.",
    },
    AppRole {
        value: "Mail.Send",
        id: uuid!("b633e1c5-b582-4048-a93e-9f11b44c7e96"),
        name: "Send mail as any user",
        description: "Allows the app to send mail as any user without a signed-in user.",
    },
    AppRole {
        value: "MailboxSettings.Read",
        id: uuid!("40f97065-369a-49f4-947c-6a255697ae91"),
        name: "Read all user mailbox settings",
        description: "Allows the app to read user's mailbox settings without a signed-in user. Does not include permission to send mail.",
    },
    AppRole {
        value: "MailboxSettings.ReadWrite",
        id: uuid!("6931bccd-447a-43d1-b442-00a195474933"),
        name: "Read and write all user mailbox settings",
        description: "Allows the app to create, read, update, and delete user's mailbox settings without a signed-in user. Does not include permission to send mail.",
    },
    AppRole {
        value: "Organization.Read.All",
        id: uuid!("498476ce-e0fe-48b0-b801-37ba7e2685c6"),
        name: "Read organization information",
        description: "Allows the app to read the organization and related resources, without a signed-in user. Related resources include things like subscribed skus and tenant branding information.",
    },
    AppRole {
        value: "Organization.ReadWrite.All",
        id: uuid!("292d869f-3427-49a8-9dab-8c70152b74e9"),
        name: "Read and write organization information",
        description: "Allows the app to read and write the organization and related resources, without a signed-in user. Related resources include things like subscribed skus and tenant branding information.",
    },
    AppRole {
        value: "Reports.Read.All",
        id: uuid!("230c1aed-a721-4c5d-9cb4-a90514e508ef"),
        name: "Read all usage reports",
        description: "Allows an app to read all service usage reports without a signed-in user.",
    },
    AppRole {
        value: "RoleManagement.Read.Directory",
        id: uuid!("483bed4a-2ad3-4361-a73b-c83ccdbdc53c"),
        name: "Read all directory RBAC settings",
        description: "Allows the app to read the role-based access control (RBAC) settings for your company's directory, without a signed-in user.",
    },
    AppRole {
        value: "Sites.FullControl.All",
        id: uuid!("a82116e5-55eb-4c41-a434-62fe8a61c773"),
        name: "Have full control of all site collections",
        description: "Allows the app to have full control of all site collections without a signed in user.",
    },
    AppRole {
        value: "Sites.Read.All",
        id: uuid!("332a536c-c7ef-4017-ab91-336970924f0d"),
        name: "Read items in all site collections",
        description: "Allows the app to read documents and list items in all site collections without a signed in user.",
    },
    AppRole {
        value: "Sites.ReadWrite.All",
        id: uuid!("9492366f-7969-46a4-8d15-ed1a20078fff"),
        name: "Read and write items in all site collections",
        description: "Allows the app to create, read, update, and delete documents and list items in all site collections without a signed in user.",
    },
    AppRole {
        value: "Tasks.Read.All",
        id: uuid!("f10e1f91-74ed-437f-a6fd-d6ae88e26c1f"),
        name: "Read all users' tasks and tasklist",
        description: "Allows the app to read all users' tasks and task lists in your organization, without a signed-in user.",
    },
    AppRole {
        value: "Tasks.ReadWrite.All",
        id: uuid!("44e666d1-d276-445b-a5fc-8815eeb81d55"),
        name: "Read and write all users' tasks and tasklists",
        description: "Allows the app to create, read, update and delete all users' tasks and task lists in your organization, without a signed-in user.",
    },
    AppRole {
        value: "Team.ReadBasic.All",
        id: uuid!("2280dda6-0bfd-44ee-a2f4-cb867cfc4c1e"),
        name: "Get a list of all teams",
        description: "Get a list of all teams, without a signed-in user.",
    },
    AppRole {
        value: "User.Read.All",
        id: uuid!("df021288-bdef-4463-88db-98f22de89214"),
        name: "Read all users' full profiles",
        description: "Allows the app to read user profiles without a signed in user.",
    },
    AppRole {
        value: "User.ReadBasic.All",
        id: uuid!("97235f07-e226-4f63-ace3-39588e11d3a1"),
        name: "Read all users' basic profiles",
        description: "Allows the app to read a basic set of profile properties of other users in your organization without a signed-in user.",
    },
    AppRole {
        value: "User.ReadWrite.All",
        id: uuid!("741f803b-c850-494e-b5df-cde7c675a1ca"),
        name: "Read and write all users' full profiles",
        description: "Allows the app to read and update user profiles without a signed in user.",
    },
];

pub(crate) static SCOPES: &[Scope] = &[
    Scope {
        value: "openid",
        id: uuid!("37f7f235-527c-4136-accd-4a02d197296e"),
        admin_only: false,
        name: "Sign users in",
        description: "Allows users to sign in to the app with their work or school accounts and allows the app to see basic user profile information.",
        user_name: "Sign in as you",
    },
    Scope {
        value: "profile",
        id: uuid!("14dad69e-099b-42c9-810b-d002981feec1"),
        admin_only: false,
        name: "View users' basic profile",
        description: "Allows the app to see your users' basic profile (e.g., name, picture, user name, email address).",
        user_name: "View your basic profile",
    },
    Scope {
        value: "email",
        id: uuid!("64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0"),
        admin_only: false,
        name: "View users' email address",
        description: "Allows the app to read your users' primary email address.",
        user_name: "View your email address",
    },
    Scope {
        value: "offline_access",
        id: uuid!("7427e0e9-2fba-42fe-b0c0-848c9e6a8182"),
        admin_only: false,
        name: "Maintain access to data you have given it access to",
        description: "Allows the app to see and update the data you gave it access to, even when users are not currently using the app. This does not give the app any additional permissions.",
        user_name: "Maintain access to data you have given it access to",
    },
    Scope {
        value: "User.Read",
        id: uuid!("e1fe6dd8-ba31-4d61-89e7-88639da4683d"),
        admin_only: false,
        name: "Sign in and read user profile",
        description: "Allows users to sign-in to the app, and allows the app to read the profile of signed-in users. It also allows the app to read basic company information of signed-in users.",
        user_name: "Sign you in and read your profile",
    },
    Scope {
        value: "User.ReadBasic.All",
        id: uuid!("b340eb25-3456-403f-be2f-af7a0d370277"),
        admin_only: false,
        name: "Read all users' basic profiles",
        description: "Allows the app to read a basic set of profile properties of other users in your organization on behalf of the signed-in user.",
        user_name: "Read all users' basic profiles",
    },
    Scope {
        value: "User.Read.All",
        id: uuid!("a154be20-db9c-4678-8ab7-66f6cc099a59"),
        admin_only: true,
        name: "Read all users' full profiles",
        description: "Allows the app to read the full set of profile properties, reports, and managers of other users in your organization, on behalf of the signed-in user.",
        user_name: "Read all users' full profiles",
    },
    Scope {
        value: "Application.Read.All",
        id: uuid!("c79f8feb-a9db-4090-85f9-90d820caa0eb"),
        admin_only: true,
        name: "Read applications",
        description: "Allows the app to read applications and service principals on behalf of the signed-in user.",
        user_name: "Read applications",
    },
    Scope {
        value: "Application.ReadWrite.All",
        id: uuid!("bdfbf15f-ee85-4955-8675-146e8e5296b5"),
        admin_only: true,
        name: "Read and write all applications",
        description: "Allows the app to create, read, update and delete applications and service principals on behalf of the signed-in user. Does not allow management of consent grants.",
        user_name: "Read and write applications",
    },
    Scope {
        value: "AppRoleAssignment.ReadWrite.All",
        id: uuid!("84bccea3-f856-4a8a-967b-dbe0a3d53a64"),
        admin_only: true,
        name: "Manage app permission grants and app role assignments",
        description: "Allows the app to manage permission grants for application permissions to any API (including Microsoft Graph) and application assignments for any app, on behalf of the signed-in user.",
        user_name: "Manage app permission grants and app role assignments",
    },
    Scope {
        value: "Calendars.Read",
        id: uuid!("465a38f9-76ea-45b9-9f34-9e8b0d4b0b42"),
        admin_only: false,
        name: "Read user calendars",
        description: "Allows the app to read events in user calendars.",
        user_name: "Read your calendars",
    },
    Scope {
        value: "Contacts.Read",
        id: uuid!("ff74d97f-43af-4b68-9f2a-b77ee6968c5d"),
        admin_only: false,
        name: "Read user contacts",
        description: "Allows the app to read user contacts.",
        user_name: "Read your contacts",
    },
    Scope {
        value: "Directory.Read.All",
        id: uuid!("06da0dbc-49e2-44d2-8312-53f166ab848a"),
        admin_only: true,
        name: "Read directory data",
        description: "Allows the app to read data in your organization's directory, such as users, groups and apps.",
        user_name: "Read directory data",
    },
    Scope {
        value: "Directory.ReadWrite.All",
        id: uuid!("c5366453-9fb0-48a5-a156-24f0c49a4b84"),
        admin_only: true,
        name: "Read and write directory data",
        description: "Allows the app to read and write data in your organization's directory, such as users, and groups. It does not allow the app to delete users or groups, or reset user passwords.",
        user_name: "Read and write directory data",
    },
    Scope {
        value: "Files.Read.All",
        id: uuid!("df85f4d6-205c-4ac5-a5ea-6bf408dba283"),
        admin_only: false,
        name: "Read all files that user can access",
        description: "Allows the app to read all files the signed-in user can access.",
        user_name: "Read all files that you have access to",
    },
    Scope {
        value: "Group.Read.All",
        id: uuid!("5f8c59db-677d-491f-a6b8-5f174b11ec1d"),
        admin_only: true,
        name: "Read all groups",
        description: "Allows the app to list groups, and to read their properties and all group memberships on behalf of the signed-in user.",
        user_name: "Read all groups",
    },
    Scope {
        value: "Mail.Read",
        id: uuid!("570282fd-fa5c-430d-a7fd-fc8dc98a9dca"),
        admin_only: false,
        name: "Read user mail",
        description: "Allows the app to read email in user mailboxes.",
        user_name: "Read your mail",
    },
    Scope {
        value: "Mail.ReadWrite",
        id: uuid!("024d486e-b451-40bb-833d-3e66d98c5c73"),
        admin_only: false,
        name: "Read and write access to user mail",
        description: "Allows the app to create, read, update, and delete email in user mailboxes. Does not include permission to send mail.",
        user_name: "Read and write access to your mail",
    },
    Scope {
        value: "Mail.Send",
        id: uuid!("e383f46e-2787-4529-855e-0e479a3ffac0"),
        admin_only: false,
        name: "Send mail as a user",
        description: "Allows the app to send mail as users in the organization.",
        user_name: "Send mail as you",
    },
    Scope {
        value: "MailboxSettings.Read",
        id: uuid!("87f447af-9fa4-4c32-9dfa-4a57a73d18ce"),
        admin_only: false,
        name: "Read user mailbox settings",
        description: "Allows the app to the read user's mailbox settings. Does not include permission to send mail.",
        user_name: "Read your mailbox settings",
    },
    Scope {
        value: "Organization.Read.All",
        id: uuid!("4908d5b9-3fb2-4b1e-9336-1888b7937185"),
        admin_only: true,
        name: "Read organization information",
        description: "Allows the app to read the organization and related resources, on behalf of the signed-in user.",
        user_name: "Read organization information",
    },
    Scope {
        value: "Sites.Read.All",
        id: uuid!("205e70e5-aba6-4c52-a976-6d2d46c48043"),
        admin_only: false,
        name: "Read items in all site collections",
        description: "Allows the app to read documents and list items in all site collections on behalf of the signed-in user",
        user_name: "Read items in all site collections",
    },
];

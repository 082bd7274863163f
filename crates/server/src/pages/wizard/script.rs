//! A script that registers the app, for Microsoft's PowerShell module. It asks Graph for the permissions' ids, so that none is written down here.

use model::Service;
use service::Permission;

/// Microsoft Graph, in every tenant.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// The script. `certificate` is one line of Base64.
pub(super) fn script(
    service: Service,
    permissions: &[Permission],
    redirect_uri: &str,
    certificate: &str,
) -> String {
    let names: Vec<_> = permissions.iter().map(|one| quoted(one.name)).collect();
    format!(
        "# Needs the module Microsoft.Graph: Install-Module Microsoft.Graph
Connect-MgGraph -Scopes 'Application.ReadWrite.All'
$graph = Get-MgServicePrincipal -Filter \"appId eq '{GRAPH}'\"
$names = @({names})
$roles = $graph.AppRoles | Where-Object {{ $names -contains $_.Value }} | ForEach-Object {{ @{{ Id = $_.Id; Type = 'Role' }} }}
$app = New-MgApplication -DisplayName {name} -SignInAudience 'AzureADMyOrg' `
  -Web @{{ RedirectUris = @({uri}) }} `
  -RequiredResourceAccess @(@{{ ResourceAppId = $graph.AppId; ResourceAccess = @($roles) }}) `
  -KeyCredentials @(@{{ Type = 'AsymmetricX509Cert'; Usage = 'Verify'; Key = [Convert]::FromBase64String({certificate}) }})
\"Tenant id:               $((Get-MgContext).TenantId)\"
\"Application (client) id: $($app.AppId)\"
",
        names = names.join(", "),
        name = quoted(&format!("Keepwell for {}", service.name())),
        uri = quoted(redirect_uri),
        certificate = quoted(certificate),
    )
}

/// A text as PowerShell reads it literally.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_says_what_the_page_says() {
        let permissions = service::needed(Service::Exchange);
        let text = script(
            Service::Exchange,
            permissions,
            "https://a.example/'r",
            "QUJD",
        );
        assert!(
            permissions
                .iter()
                .all(|one| text.contains(&quoted(one.name)))
        );
        assert!(text.contains("@('https://a.example/''r')"));
        assert!(text.contains("'Keepwell for Exchange'"));
        assert!(text.contains("FromBase64String('QUJD')"));
    }
}

//! Data folders: made, opened, refused; and the passwords that come of them.

use std::fs;

use anyhow::Result;
use engine::{Account, Error, Vault};
use model::{AccountId, Service, TenantId};

fn account(id: &str, address: &str) -> Result<Account> {
    Ok(Account {
        id: AccountId::new(id)?,
        tenant: TenantId::new("t")?,
        service: Service::Exchange,
        address: address.to_owned(),
        name: address.to_owned(),
    })
}

#[test]
fn passwords_are_each_accounts_own_and_stay() -> Result<()> {
    let data = tempfile::tempdir()?;
    let vault = Vault::create(&data.path().join("data"))?;
    let (ada, ben) = (account("a-1", "ada@x.com")?, account("b-2", "ben@x.com")?);
    vault.remember(&ada)?;
    vault.remember(&ben)?;
    let password = vault.password(&ada.id)?;
    assert_eq!(password.len(), 64);
    assert_ne!(password, vault.password(&ben.id)?);

    // Survival 80: a new address is the same account, with the same password.
    vault.remember(&account("a-1", "ada.king@x.com")?)?;
    let again = Vault::open(&data.path().join("data"))?;
    assert_eq!(again.password(&ada.id)?, password);
    assert_eq!(again.find("ADA.KING")?.id, ada.id);
    let names: Vec<String> = again
        .accounts()?
        .into_iter()
        .map(|account| account.address)
        .collect();
    assert_eq!(names, ["ada.king@x.com", "ben@x.com"]);

    // Another organization's key opens nothing of this one's.
    let other = Vault::create(&data.path().join("other"))?;
    fs::copy(
        data.path().join("data/accounts/a-1.json"),
        data.path().join("other/accounts/a-1.json"),
    )?;
    assert_ne!(other.password(&ada.id)?, password);
    Ok(())
}

#[test]
fn names_find_one_account_or_say_why_not() -> Result<()> {
    let data = tempfile::tempdir()?;
    let vault = Vault::create(data.path())?;
    for (id, address) in [
        ("a-1", "info@x.com"),
        ("b-2", "info@y.com"),
        ("c-3", "ada@x.com"),
    ] {
        vault.remember(&account(id, address)?)?;
    }
    assert_eq!(vault.find("info@y.com")?.id.as_str(), "b-2");
    assert_eq!(vault.find("c-3")?.address, "ada@x.com");
    assert!(matches!(vault.find("info"), Err(Error::SeveralAccounts(_))));
    assert!(matches!(vault.find("zoe"), Err(Error::NoAccount(_))));
    assert!(matches!(
        vault.remember(&account("../../etc/x", "eve@x.com")?),
        Err(Error::BadId)
    ));
    Ok(())
}

#[test]
fn folders_that_are_none_are_refused_and_left_alone() -> Result<()> {
    let data = tempfile::tempdir()?;
    let file = data.path().join("file");
    fs::write(&file, "mine")?;
    assert!(matches!(
        Vault::create(data.path()),
        Err(Error::NotEmpty(_))
    ));
    assert!(matches!(Vault::create(&file), Err(Error::NoFolder(_))));
    assert!(matches!(Vault::open(&file), Err(Error::NoData(_))));
    assert!(matches!(
        Vault::open(&data.path().join("nowhere")),
        Err(Error::NoData(_))
    ));
    assert_eq!(fs::read_to_string(&file)?, "mine");

    let vault = Vault::create(&data.path().join("data"))?;
    let ada = account("a-1", "ada@x.com")?;
    vault.remember(&ada)?;
    fs::write(
        data.path().join("data/accounts/a-1.json"),
        "{\"version\":1}",
    )?;
    assert!(matches!(
        vault.password(&ada.id),
        Err(Error::Damaged { .. })
    ));
    // The damaged file may be all that is left of the secret: it is not written over.
    assert!(matches!(vault.remember(&ada), Err(Error::Damaged { .. })));
    fs::write(data.path().join("data/recovery-key"), "not a key")?;
    assert!(matches!(
        Vault::open(&data.path().join("data")),
        Err(Error::Damaged { .. })
    ));
    Ok(())
}

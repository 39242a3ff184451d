use super::*;

/// A folder of its own for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("quanyu-test-{}", hex::encode(random::<6>()))))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn info() -> RunInfo {
    RunInfo {
        redis_url: "redis+unix:///data/store.sock".into(),
        listen: "127.0.0.1:8080".into(),
        sandbox: true,
        shards: 1,
        pid: std::process::id(),
        started_at: "2026-11-21T08:00:00Z".parse().unwrap(),
    }
}

#[test]
fn keys_survive_a_second_opening() {
    let folder = Folder::new();
    let first = Instance::open(&folder.0).unwrap();
    let second = Instance::open(&folder.0).unwrap();
    assert_eq!(first.master_key(), second.master_key());
    assert_eq!(first.sandbox_token_key().unwrap(), second.sandbox_token_key().unwrap());
    assert_ne!(first.master_key(), first.sandbox_token_key().unwrap());
}

#[test]
fn everything_in_the_folder_is_readable_by_its_owner_only() {
    let folder = Folder::new();
    let instance = Instance::open(&folder.0).unwrap();
    instance.sandbox_token_key().unwrap();
    instance.keep_admin_key(&new_api_key()).unwrap();
    let _note = instance.announce(&info()).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, [ADMIN, NOTE, MASTER, SANDBOX_TOKEN, SERVE_LOCK]);
    assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_first_admin_key_is_kept() {
    let folder = Folder::new();
    let instance = Instance::open(&folder.0).unwrap();
    assert_eq!(instance.admin_key().unwrap(), None);
    assert_eq!(instance.keep_admin_key("qk_first").unwrap(), "qk_first");
    assert_eq!(instance.keep_admin_key("qk_second").unwrap(), "qk_first");
}

#[test]
fn a_command_finds_the_running_server_and_only_a_running_one() {
    let folder = Folder::new();
    let instance = Instance::open(&folder.0).unwrap();
    assert_eq!(instance.connect_info().unwrap(), ConnectInfo::Stopped);
    let announcement = instance.announce(&info()).unwrap();
    assert_eq!(instance.connect_info().unwrap(), ConnectInfo::Running(info()));
    assert!(matches!(instance.announce(&info()), Err(InstanceError::AlreadyRunning(_))));
    drop(announcement);
    assert_eq!(instance.connect_info().unwrap(), ConnectInfo::Stopped);
    replace_private(&folder.0.join(NOTE), "left behind by a killed server").unwrap();
    assert_eq!(instance.connect_info().unwrap(), ConnectInfo::Stopped);
}

#[test]
fn looking_for_an_installation_makes_none() {
    let folder = Folder::new();
    assert!(matches!(Instance::existing(&folder.0), Err(InstanceError::NoInstallation(..))));
    assert!(!folder.0.exists());
    let made = Instance::open(&folder.0).unwrap();
    assert_eq!(Instance::existing(&folder.0).unwrap().master_key(), made.master_key());
    assert!(matches!(made.existing_token_key(), Err(InstanceError::NoSandbox(..))));
    assert_eq!(made.sandbox_token_key().unwrap(), made.existing_token_key().unwrap());
}

#[test]
fn a_damaged_master_key_is_never_replaced() {
    let folder = Folder::new();
    drop(Instance::open(&folder.0).unwrap());
    fs::write(folder.0.join(MASTER), "12ab").unwrap();
    assert!(matches!(Instance::open(&folder.0), Err(InstanceError::Malformed(..))));
    assert_eq!(fs::read_to_string(folder.0.join(MASTER)).unwrap(), "12ab");
}

#[test]
fn the_first_store_is_remembered_until_it_is_forgotten_by_name() {
    let folder = Folder::new();
    let instance = Instance::open(&folder.0).unwrap();
    assert_eq!(instance.store_id().unwrap(), None);
    instance.keep_store_id("first").unwrap();
    instance.keep_store_id("second").unwrap();
    assert_eq!(instance.store_id().unwrap().as_deref(), Some("first"));
    let announcement = instance.announce(&info()).unwrap();
    assert!(matches!(instance.forget_store_id(), Err(InstanceError::AlreadyRunning(_))));
    drop(announcement);
    assert_eq!(instance.forget_store_id().unwrap().as_deref(), Some("first"));
    assert_eq!(instance.forget_store_id().unwrap(), None);
    fs::write(folder.0.join(STORE_ID), "").unwrap();
    assert!(matches!(instance.store_id(), Err(InstanceError::Malformed(..))), "an id cut short is not none");
}

#[test]
fn no_tokens_are_made_beside_a_live_server_and_its_directory_keeps_no_key_for_them() {
    let folder = Folder::new();
    let instance = Instance::open(&folder.0).unwrap();
    instance.sandbox_token_key().unwrap();
    let _announcement = instance.announce(&RunInfo { sandbox: false, ..info() }).unwrap();
    assert!(matches!(instance.existing_token_key(), Err(InstanceError::NoSandbox(..))));
    instance.drop_sandbox_token_key().unwrap();
    instance.drop_sandbox_token_key().unwrap();
    assert!(!folder.0.join(SANDBOX_TOKEN).exists());
}

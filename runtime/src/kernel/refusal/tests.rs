//! Tests of the diagnosis, each in surroundings made up for it.

use super::*;

const CALL: &str = SETUP;

/// A machine of today on which nothing stands against io_uring.
fn fine() -> Surroundings {
    Surroundings {
        sysctl: Some(0),
        release: "6.18.44".to_owned(),
        memory_lock: 8 << 20,
        descriptors: 1024,
        user: 1000,
        ..Surroundings::default()
    }
}

/// Kind, cause, and the words the text has to have.
#[track_caller]
fn assert_refusal(errno: i32, around: &Surroundings, kind: io::ErrorKind, cause: Cause, words: &[&str]) {
    let refusal = diagnose(CALL, errno, around);
    assert_eq!(refusal.kind(), kind);
    assert_eq!(refusal.errno(), errno);
    assert_eq!(refusal.cause(), &cause);
    let text = refusal.to_string();
    assert!(text.contains("io_uring"), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
    // As an io::Error it keeps kind and text, and can be found again.
    let error = io::Error::from(refusal.clone());
    assert_eq!((error.kind(), error.to_string()), (kind, text));
    assert_eq!(error.get_ref().unwrap().downcast_ref::<Refusal>(), Some(&refusal));
}

#[test]
fn sysctl_of_two_is_named_first_of_all() {
    let around = Surroundings { sysctl: Some(2), seccomp_filter: true, system_admin: true, ..fine() };
    let words = [
        "io_uring_setup was refused (EPERM): kernel.io_uring_disabled is 2",
        "`sysctl kernel.io_uring_disabled=0` allows it",
    ];
    assert_refusal(libc::EPERM, &around, io::ErrorKind::PermissionDenied, Cause::Sysctl { value: 2 }, &words);
}

#[test]
fn sysctl_of_one_asks_for_capability_or_group() {
    let around = Surroundings { sysctl: Some(1), ..fine() };
    let words = ["is 1", "CAP_SYS_ADMIN", "kernel.io_uring_group", "kernel.io_uring_disabled=0"];
    assert_refusal(libc::EPERM, &around, io::ErrorKind::PermissionDenied, Cause::Sysctl { value: 1 }, &words);
}

#[test]
fn sysctl_of_one_is_innocent_for_admins_and_members() {
    for (system_admin, in_sysctl_group) in [(true, false), (false, true)] {
        let around = Surroundings { sysctl: Some(1), seccomp_filter: true, system_admin, in_sysctl_group, ..fine() };
        assert_eq!(diagnose(CALL, libc::EPERM, &around).cause(), &Cause::Seccomp);
    }
}

#[test]
fn seccomp_names_the_three_calls_and_where_to_allow_them() {
    for sysctl in [Some(0), None] {
        let around = Surroundings { sysctl, seccomp_filter: true, ..fine() };
        let words = [
            "io_uring_setup, io_uring_enter and io_uring_register",
            "docker run --security-opt seccomp=",
            "seccompProfile",
            "containerd",
            "SystemCallFilter=",
        ];
        assert_refusal(libc::EPERM, &around, io::ErrorKind::PermissionDenied, Cause::Seccomp, &words);
    }
}

#[test]
fn refusal_without_other_cause_is_a_security_module() {
    let kind = io::ErrorKind::PermissionDenied;
    let words = ["security module", "ausearch", "AppArmor"];
    for errno in [libc::EPERM, libc::EACCES] {
        assert_refusal(errno, &fine(), kind, Cause::SecurityModule { label: None }, &words);
    }
}

#[test]
fn security_module_names_the_label() {
    let label = Some("docker-default (enforce)".to_owned());
    let around = Surroundings { security_label: label.clone(), sysctl: Some(2), ..fine() };
    let words = ["refused (EACCES)", "runs as `docker-default (enforce)`"];
    let cause = Cause::SecurityModule { label };
    assert_refusal(libc::EACCES, &around, io::ErrorKind::PermissionDenied, cause, &words);
}

#[test]
fn unknown_call_on_an_old_kernel_is_the_kernel() {
    let around = Surroundings { release: "4.18.0-553.el8".to_owned(), seccomp_filter: true, ..fine() };
    let cause = Cause::OldKernel { release: "4.18.0-553.el8".to_owned(), missing: "io_uring" };
    let words = ["refused (ENOSYS)", "Linux 4.18.0-553.el8 lacks io_uring", "Linux 6.0 or newer"];
    assert_refusal(libc::ENOSYS, &around, io::ErrorKind::Unsupported, cause, &words);
}

#[test]
fn unknown_call_on_gvisor_is_gvisor() {
    let around = Surroundings { release: "4.4.0".to_owned(), gvisor: true, seccomp_filter: true, ..fine() };
    assert_refusal(libc::ENOSYS, &around, io::ErrorKind::Unsupported, Cause::Gvisor, &["gVisor", "runc"]);
}

#[test]
fn unknown_call_under_a_filter_is_the_filter() {
    let around = Surroundings { seccomp_filter: true, ..fine() };
    let words = ["refused (ENOSYS)", "seccomp"];
    assert_refusal(libc::ENOSYS, &around, io::ErrorKind::Unsupported, Cause::Seccomp, &words);
}

#[test]
fn unknown_call_on_a_new_kernel_is_its_configuration() {
    let cause = Cause::NoSuchCall { release: "6.18.44".to_owned() };
    let words = ["Linux 6.18.44 is built without io_uring", "CONFIG_IO_URING=y"];
    assert_refusal(libc::ENOSYS, &fine(), io::ErrorKind::Unsupported, cause, &words);
}

#[test]
fn invalid_setup_on_an_old_kernel_is_the_kernel() {
    let around = Surroundings { release: "5.4.0-150-generic".to_owned(), ..fine() };
    let cause = Cause::OldKernel { release: "5.4.0-150-generic".to_owned(), missing: "the form of ring asked for" };
    let words = ["Linux 5.4.0-150-generic", "Linux 6.0 or newer"];
    assert_refusal(libc::EINVAL, &around, io::ErrorKind::Unsupported, cause, &words);
}

#[test]
fn invalid_setup_on_a_new_kernel_has_no_known_cause() {
    let words = ["io_uring_setup was refused (EINVAL): no cause was found: Invalid argument"];
    assert_refusal(libc::EINVAL, &fine(), io::ErrorKind::Unsupported, Cause::Other, &words);
}

#[test]
fn ring_of_no_use_names_what_it_lacks() {
    let refusal = Refusal::of_old_kernel("multishot receive and synchronous cancel (6.0)", "5.19.17".to_owned());
    assert_eq!(refusal.kind(), io::ErrorKind::Unsupported);
    assert_eq!(refusal.errno(), libc::EOPNOTSUPP);
    let text = refusal.to_string();
    let start = "this io_uring is of no use: Linux 5.19.17 lacks multishot receive and synchronous cancel (6.0); \
                 quoit needs Linux 6.0 or newer";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn short_memory_under_a_limit_is_the_limit() {
    let cause = Cause::MemoryLock { soft: 8 << 20, user: 1000 };
    let words = [
        "refused (ENOMEM)",
        "RLIMIT_MEMLOCK leaves 8388608 bytes to all processes of uid 1000",
        "`ulimit -l unlimited`",
        "LimitMEMLOCK=",
        "docker run --ulimit memlock=",
    ];
    assert_refusal(libc::ENOMEM, &fine(), io::ErrorKind::OutOfMemory, cause, &words);
}

#[test]
fn short_memory_without_a_limit_is_memory() {
    let unlimited = Surroundings { memory_lock: u64::MAX, ..fine() };
    let exempt = Surroundings { unlimited_lock: true, ..fine() };
    for around in [unlimited, exempt] {
        assert_refusal(libc::ENOMEM, &around, io::ErrorKind::OutOfMemory, Cause::Memory, &["memory.max"]);
    }
}

#[test]
fn short_descriptors_keep_their_own_kind() {
    let kind = |errno| io::Error::from_raw_os_error(errno).kind();
    let of_process = Cause::Descriptors { soft: Some(1024) };
    let words = ["refused (EMFILE)", "all 1024 file descriptors of this process", "`ulimit -n NUMBER`"];
    assert_refusal(libc::EMFILE, &fine(), kind(libc::EMFILE), of_process, &words);
    let of_system = Cause::Descriptors { soft: None };
    assert_refusal(libc::ENFILE, &fine(), kind(libc::ENFILE), of_system, &["refused (ENFILE)", "fs.file-max"]);
}

#[test]
fn errno_without_a_cause_is_spelled_out() {
    let text = diagnose(CALL, libc::EFAULT, &fine()).to_string();
    assert_eq!(text, "io_uring_setup was refused (errno 14): no cause was found: Bad address (os error 14)");
}

#[test]
fn each_call_is_named_as_it_failed() {
    let around = Surroundings { seccomp_filter: true, ..fine() };
    let text = diagnose("io_uring_enter", libc::EPERM, &around).to_string();
    assert!(text.starts_with("io_uring_enter was refused (EPERM): a seccomp filter"), "{text}");
}

#[test]
fn past_the_setup_sysctl_limit_and_build_are_innocent() {
    let around = Surroundings { sysctl: Some(2), release: "4.18.0".to_owned(), ..fine() };
    for call in ["io_uring_enter", "io_uring_register"] {
        let cause = |errno, around: &Surroundings| diagnose(call, errno, around).cause().clone();
        assert_eq!(cause(libc::EPERM, &around), Cause::SecurityModule { label: None });
        assert_eq!(cause(libc::ENOSYS, &around), Cause::Other);
        assert_eq!(cause(libc::ENOMEM, &around), Cause::Memory);
        for errno in [libc::EPERM, libc::ENOSYS] {
            let filtered = Surroundings { seccomp_filter: true, ..around.clone() };
            assert_eq!(cause(errno, &filtered), Cause::Seccomp);
            let gvisor = Surroundings { gvisor: true, ..filtered };
            assert_eq!(cause(errno, &gvisor), Cause::Gvisor);
        }
    }
}

#[test]
fn releases_compare_by_number() {
    for older in ["5.0.0", "4.18.0-553.el8_10.x86_64", "5.0-rc1", "3.10"] {
        assert!(older_than(older, (5, 1)), "{older}");
    }
    for newer in ["5.1", "5.10.0", "6.0", "10.0.1", "unknown", "", "5", "99999999999.1"] {
        assert!(!older_than(newer, (5, 1)), "{newer}");
    }
}

#[test]
fn members_are_found_among_effective_and_further_groups() {
    let status = "Name:\tcat\nGid:\t5\t6\t7\t8\nGroups:\t20 30 \nSeccomp:\t2\nSeccomp_filters:\t1\n";
    assert!(is_member(status, "6") && is_member(status, "20") && is_member(status, "30"));
    assert!(!is_member(status, "5") && !is_member(status, "-1") && !is_member(status, ""));
    assert_eq!(field(status, "Seccomp:"), "2");
    assert_eq!(field(status, "NoNewPrivs:"), "");
}

#[test]
fn unconfined_labels_are_none() {
    assert_eq!(confining_label("unconfined\n"), None);
    assert_eq!(confining_label("kernel\0"), None);
    assert_eq!(confining_label(""), None);
    assert_eq!(confining_label("user_u:user_r:user_t:s0\0").as_deref(), Some("user_u:user_r:user_t:s0"));
}

#[test]
fn gvisor_is_told_from_linux() {
    assert!(is_gvisor("4.4.0", "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"));
    assert!(is_gvisor("4.19.0-gvisor", ""));
    assert!(!is_gvisor("4.4.0-210-generic", "Linux version 4.4.0-210-generic (buildd@lgw01) #242-Ubuntu SMP"));
}

#[test]
fn surroundings_of_this_process_are_read() {
    let around = Surroundings::gather();
    assert_eq!(around.release, host::kernel_release());
    assert!(around.release.starts_with(|first: char| first.is_ascii_digit()), "{}", around.release);
    assert!(around.memory_lock > 0 && around.descriptors > 0);
    assert!(!around.gvisor);
}

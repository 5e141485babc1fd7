//! Amounts, instants and ids: what is written is read back, and the borders hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use drawdown::{AccountKey, Amount, GrantId, HoldId, LedgerId, OpId, Owner, RefundId, TaskId, TenantId, Timestamp, Unit};

const ROUNDS: usize = 20_000;

/// Numbers of every size, the borders among them.
fn any_micros(random: &mut fastrand::Rng) -> i64 {
    match random.u8(..8) {
        0 => i64::MAX - random.i64(..1_000).abs(),
        1 => i64::MIN + random.i64(0..1_000),
        2 => random.i64(-1_000..1_000),
        _ => random.i64(..) >> random.u8(..63),
    }
}

#[test]
fn an_amount_is_read_back_from_every_notation() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..ROUNDS {
        let amount = Amount::from_micros(any_micros(&mut random));
        let plain = amount.to_string();
        assert_eq!(plain.parse::<Amount>().unwrap(), amount, "{plain}");
        assert_eq!(format!("{}e-6", amount.micros()).parse::<Amount>().unwrap(), amount);
        assert_eq!(format!("{}0000E-10", amount.micros()).parse::<Amount>().unwrap(), amount);
        assert_eq!(serde_json::from_str::<Amount>(&plain).unwrap(), amount, "as a JSON number");
        assert_eq!(serde_json::to_string(&amount).unwrap(), format!("\"{plain}\""));
        assert_eq!(serde_json::from_str::<Amount>(&format!("\"{plain}\"")).unwrap(), amount);
        assert_eq!(Amount::try_from(amount.to_decimal()).unwrap(), amount);
        if plain.contains('.') {
            assert!(!plain.ends_with('0'), "{plain}");
        }
    }
}

#[test]
fn an_amount_keeps_its_digits_in_a_column() {
    let amount = Amount::from_micros(-1_250_000);
    assert_eq!(format!("[{amount:>8}] [{amount:<8}] [{amount:.1}] [{amount:?}]"), "[   -1.25] [-1.25   ] [-1.25] [-1.25]");
    assert_eq!(format!("[{:8}] [{:+}]", Amount::ZERO, Amount::from_micros(1)), "[       0] [+0.000001]");
}

#[test]
fn the_arithmetic_of_amounts_agrees_with_wider_numbers() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..ROUNDS {
        let (a, b) = (any_micros(&mut random), any_micros(&mut random));
        let (left, right) = (Amount::from_micros(a), Amount::from_micros(b));
        let narrow = |wide: i128| i64::try_from(wide).ok().map(Amount::from_micros);
        assert_eq!(left.checked_add(right), narrow(i128::from(a) + i128::from(b)));
        assert_eq!(left.checked_sub(right), narrow(i128::from(a) - i128::from(b)));
        assert_eq!(left.checked_mul(b), narrow(i128::from(a) * i128::from(b)));
        assert_eq!(left.checked_neg(), narrow(-i128::from(a)));
        assert_eq!(Amount::from_units(a), narrow(i128::from(a) * 1_000_000));
        assert_eq!(left.cmp(&right), a.cmp(&b));
    }
}

#[test]
fn amounts_at_their_borders() {
    let zeros = "0".repeat(45);
    for (text, micros) in [
        ("9223372036854.775807", i64::MAX),
        ("-9223372036854.775808", i64::MIN),
        ("9223372036854775807e-6", i64::MAX),
        ("0.000001", 1),
        ("-0.000001", -1),
        ("-0", 0),
        ("+1", 1_000_000),
        ("000001.500000", 1_500_000),
        ("0e999999999", 0),
        ("0e-2147483648", 0),
        ("0.0e2147483647", 0),
        (&format!("1{zeros}e-45"), 1_000_000),
        (&format!("0.{zeros}1e45"), 100_000),
        (&format!("1{zeros}e-51"), 1),
        (&"0".repeat(64), 0),
    ] {
        assert_eq!(text.parse::<Amount>().unwrap().micros(), micros, "{text}");
    }
    let began = Instant::now();
    for text in [
        "9223372036854.775808",
        "-9223372036854.775809",
        "0.0000001",
        "1e-7",
        "1e-2147483648",
        "1e2147483647",
        "-1e2147483647",
        "1e2147483648",
        "0.0000000000000000000000000000000000000000000000000000001e-2147483648",
        "99999999999999999999999999999999999999999999999999999999999999999",
        &"9".repeat(64),
        &"0".repeat(65),
        &format!("1{zeros}1e-45"),
        &format!("1{zeros}e-52"),
        "",
        "-",
        "+",
        ".",
        ".5",
        "5.",
        "1.2.3",
        "1_000",
        "1,000",
        " 1",
        "1 ",
        "--1",
        "+-1",
        "1e",
        "1e1.5",
        "e5",
        "1e5e5",
        "NaN",
        "inf",
        "Infinity",
        "0x10",
        "１",
        "1\0",
    ] {
        let refused = text.parse::<Amount>().unwrap_err();
        assert_eq!(refused.name(), "amount_invalid", "{text}");
        assert!(!refused.message().contains(char::is_control), "{text:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "no exponent takes long");
}

#[test]
fn arbitrary_text_is_an_amount_only_if_a_decimal_agrees() {
    let mut random = fastrand::Rng::with_seed(3);
    let alphabet: Vec<char> = "0123456789.-+eE".chars().collect();
    for _ in 0..ROUNDS {
        let text: String = (0..random.usize(1..12)).map(|_| random.choice(&alphabet).copied().unwrap()).collect();
        let Ok(amount) = text.parse::<Amount>() else { continue };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        // In whole millionths, by shifting the point in the text.
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().unwrap();
        let shift = exponent.parse::<i64>().unwrap() - i64::try_from(fraction.len()).unwrap() + 6;
        let expected = match u32::try_from(shift) {
            _ if digits == 0 => 0,
            Ok(up) => digits * 10_i128.pow(up),
            Err(_) => digits / 10_i128.pow(u32::try_from(-shift).unwrap()),
        };
        assert_eq!(i128::from(amount.micros()), expected, "{text}");
    }
}

#[test]
fn an_instant_is_read_back() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..ROUNDS {
        let micros = random.i64(Timestamp::MIN.micros()..=Timestamp::MAX.micros());
        let instant = Timestamp::from_micros(micros).unwrap();
        let text = instant.to_string();
        assert_eq!(text.len(), "2026-03-01T12:00:00.000000Z".len(), "{text}");
        assert_eq!(text.parse::<Timestamp>().unwrap(), instant, "{text}");
        assert_eq!(serde_json::from_str::<Timestamp>(&serde_json::to_string(&instant).unwrap()).unwrap(), instant);
        let other = Timestamp::from_micros(random.i64(Timestamp::MIN.micros()..=Timestamp::MAX.micros())).unwrap();
        assert_eq!(instant.cmp(&other), text.cmp(&other.to_string()), "text sorts like time");
    }
}

#[test]
fn instants_at_their_borders() {
    for (text, written) in [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2026-03-01T12:00:00+08:00", "2026-03-01T04:00:00.000000Z"),
        ("2024-02-29T00:00:00.1Z", "2024-02-29T00:00:00.100000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
    ] {
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written);
    }
    for text in [
        "",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-03-01T12:00:00.0000001Z",
        "2026-02-29T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "10000-01-01T00:00:00Z",
        "1772366400",
        "2026-03-01T12:00:00Z\0",
    ] {
        assert_eq!(text.parse::<Timestamp>().unwrap_err().name(), "payload_invalid", "{text}");
    }
    assert_eq!(Timestamp::from_micros(Timestamp::MIN.micros() - 1), None);
    assert_eq!(Timestamp::from_micros(Timestamp::MAX.micros() + 1), None);
    assert_eq!(Timestamp::MAX.plus_micros(1), None);
    assert_eq!(Timestamp::MAX.plus_seconds(i64::MAX), None);
    assert_eq!(Timestamp::MIN.plus_seconds(i64::MIN), None);
}

#[test]
fn an_id_leads_back_to_its_operation() {
    let mut random = fastrand::Rng::with_seed(5);
    let tenant = TenantId::new("acme").unwrap();
    for _ in 0..ROUNDS {
        let now = Timestamp::from_micros(random.i64(0..=Timestamp::MAX.micros())).unwrap();
        let owner = Owner::user(format!("u{}", random.u8(..))).unwrap();
        let operation = OpId::new(now, &tenant, Some(&owner), random.u64(..));
        let uuid = operation.uuid();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(uuid.as_u64_pair().0 >> 16, u64::try_from(now.micros() / 1_000).unwrap(), "the time leads");
        let ordinal = random.u16(..);
        let entry = LedgerId::derive(operation, ordinal);
        assert_eq!(entry.operation(), (operation, ordinal));
        assert_eq!(entry.to_string().parse::<LedgerId>().unwrap(), entry);
        assert_eq!(LedgerId::from_uuid(entry.uuid()), entry);
        let hold = HoldId::derive(operation, ordinal);
        assert_eq!(hold.uuid(), GrantId::derive(operation, ordinal).uuid());
        assert_eq!(serde_json::from_str::<HoldId>(&serde_json::to_string(&hold).unwrap()).unwrap(), hold);
    }
    assert_ne!(
        OpId::new(Timestamp::default(), &tenant, Some(&Owner::Pool), 7),
        OpId::new(Timestamp::default(), &tenant, Some(&Owner::user("u1").unwrap()), 7),
        "the owner spreads ids"
    );
}

#[test]
fn an_id_has_one_spelling() {
    let uuid = "019535d9-3df7-7aaa-8bbb-0123456a0001";
    assert_eq!(format!("hold_{uuid}").parse::<HoldId>().unwrap().to_string(), format!("hold_{uuid}"));
    for text in [
        uuid.to_owned(),
        format!("led_{uuid}"),
        format!("hold_{}", uuid.to_uppercase()),
        format!("hold_{{{uuid}}}"),
        format!("hold_{}", uuid.replace('-', "")),
        format!("hold_urn:uuid:{uuid}"),
        format!("hold_{uuid} "),
        "hold_".to_owned(),
        String::new(),
    ] {
        let refused = text.parse::<HoldId>().unwrap_err();
        assert_eq!(refused.name(), "payload_invalid", "{text}");
    }
    assert_eq!("x".parse::<RefundId>().unwrap_err().details().get("field").unwrap(), "ref_id");
}

#[test]
fn text_ids_have_1_to_255_bytes_without_control_characters() {
    for text in ["a", " ", "用户", "a/b:c", "\u{200b}", &"x".repeat(255), &"é".repeat(127)] {
        let id = TaskId::new(text).unwrap();
        assert_eq!(id.as_str(), text);
        assert_eq!(serde_json::from_str::<TaskId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }
    for text in ["", "\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(256), &"é".repeat(128)] {
        let refused = TaskId::new(text).unwrap_err();
        assert_eq!((refused.name(), refused.details().get("field").unwrap()), ("payload_invalid", &"task_id".into()));
        assert!(!refused.message().contains(char::is_control));
        assert!(refused.message().len() < 500, "a long id is not echoed whole");
    }
}

#[test]
fn an_owner_is_read_back_whatever_its_id() {
    for owner in [
        Owner::Pool,
        Owner::user("pool").unwrap(),
        Owner::user("user:u1").unwrap(),
        Owner::organization("o1").unwrap(),
        Owner::organization(":").unwrap(),
    ] {
        assert_eq!(owner.to_string().parse::<Owner>().unwrap(), owner);
        let account = AccountKey::new(TenantId::new("acme").unwrap(), owner.clone(), Unit::new("UC").unwrap());
        assert_eq!(serde_json::from_value::<AccountKey>(serde_json::to_value(&account).unwrap()).unwrap(), account);
    }
    for text in ["", "Pool", "pool:", "pool:x", "team:x", "u1"] {
        assert_eq!(text.parse::<Owner>().unwrap_err().name(), "owner_invalid", "{text}");
    }
    assert_eq!("user:".parse::<Owner>().unwrap_err().name(), "payload_invalid");
}

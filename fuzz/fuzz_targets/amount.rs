//! Text as an amount: what is read is written and read again as the same, and `rust_decimal` means the same number by it.

#![no_main]

use std::str;

use drawdown::Amount;
use libfuzzer_sys::fuzz_target;
use rust_decimal::Decimal;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let read = text.parse::<Amount>();
    if let Ok(amount) = read {
        let written = amount.to_string();
        assert_eq!(written.parse::<Amount>().unwrap(), amount, "{text} is written as {written}");
        assert_eq!(written.parse::<Decimal>().unwrap(), amount.to_decimal(), "{text} is written as {written}");
        assert_eq!(Amount::try_from(amount.to_decimal()).unwrap(), amount);
        assert_eq!(serde_json::from_value::<Amount>(serde_json::to_value(amount).unwrap()).unwrap(), amount);
    }
    // A JSON number is read as its digits are.
    if let Ok(number) = serde_json::from_str::<serde_json::Number>(text) {
        assert_eq!(serde_json::from_str::<Amount>(text).ok(), number.to_string().parse().ok(), "{text}");
        // The reader of JSON writes the sign of an exponent out, which can make text longer than an amount may be.
        if let Ok(amount) = read
            && number.to_string().len() <= 64
        {
            assert_eq!(serde_json::from_str::<Amount>(text).unwrap(), amount, "{text}");
        }
    }
    if let Some(decimal) = decimal(text) {
        if let Ok(amount) = read {
            assert_eq!(amount.to_decimal(), decimal, "{text}");
        }
        assert_eq!(Amount::try_from(decimal).ok(), decimal.to_string().parse().ok(), "{text} is {decimal}");
    }
});

/// The number that `rust_decimal` reads, unless it would round it.
fn decimal(text: &str) -> Option<Decimal> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Decimal::from_str_exact(text).ok() };
    let mantissa = Decimal::from_str_exact(mantissa).ok()?;
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-28..=28).contains(exponent))?;
    if exponent >= 0 {
        mantissa.checked_mul(Decimal::from_i128_with_scale(10_i128.pow(exponent.unsigned_abs()), 0))
    } else {
        let scale = mantissa.scale().checked_add(exponent.unsigned_abs())?;
        Decimal::try_from_i128_with_scale(mantissa.mantissa(), scale).ok()
    }
}

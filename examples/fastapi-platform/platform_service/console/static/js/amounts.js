// Amounts are shown as the decimal text that came. Where they are compared or drawn, they are whole millionths: no
// amount is ever a floating point number.

const MILLION = 1_000_000n;

/** How many millionths a decimal text is. */
export function micros(text) {
  const [, minus, whole, part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? fail(text);
  const value = BigInt(whole) * MILLION + BigInt(part.padEnd(6, "0").slice(0, 6));
  return minus ? -value : value;
}

/** The decimal text of so many millionths. */
export function text(value) {
  const sign = value < 0n ? "-" : "";
  const size = value < 0n ? -value : value;
  const part = String(size % MILLION).padStart(6, "0").replace(/0+$/, "");
  return `${sign}${size / MILLION}${part && `.${part}`}`;
}

/** Which part of a whole it is, 0 to 1: for lengths on the screen alone. */
export function share(part, whole) {
  if (whole <= 0n) return part > 0n ? 1 : 0;
  const thousandths = Number((part * 10_000n) / whole) / 10_000;
  return Math.min(1, Math.max(0, thousandths));
}

/** Whether an amount is positive, negative or neither, as a class of its colour. */
export function tone(amount) {
  const value = micros(amount);
  return value > 0n ? "plus" : value < 0n ? "minus" : "muted";
}

/** An amount with its sign, as changes are written. */
export function signed(amount) {
  return micros(amount) > 0n ? `+${amount}` : amount;
}

/** At most so many round numbers from the first value to the last, as steps of 1, 2 or 5. */
export function ticks(from, to, most) {
  const span = to - from || MILLION;
  let step = 1n;
  for (const factors = [2n, 5n, 10n]; ; step *= 10n) {
    const found = [1n, ...factors].map((factor) => step * factor).find((size) => span / size < BigInt(most));
    if (found) {
      step = found;
      break;
    }
  }
  const first = (from / step - (from < 0n && from % step ? 1n : 0n)) * step;
  const last = (to / step + (to > 0n && to % step ? 1n : 0n)) * step;
  const all = [];
  for (let value = first; value <= last; value += step) all.push(value);
  return all.length > 1 ? all : [first, first + step];
}

function fail(given) {
  throw new TypeError(`no amount: ${given}`);
}

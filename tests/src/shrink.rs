//! Makes a failing list small.

/// Takes out as many items as it can while it still fails: halves, then quarters, down to single items.
pub fn shrink<T: Clone, S>(mut items: Vec<T>, mut why: String, fails: impl Fn(&[T]) -> Result<S, String>) -> (Vec<T>, String) {
    let mut size = items.len().div_ceil(2);
    loop {
        let mut at = 0;
        let before = items.len();
        while at < items.len() {
            let mut fewer = items.clone();
            fewer.drain(at..(at + size).min(items.len()));
            match fails(&fewer) {
                Err(other) => (items, why) = (fewer, other),
                Ok(_) => at += size,
            }
        }
        if size <= 1 && items.len() == before {
            return (items, why);
        }
        size = (size / 2).max(1);
    }
}

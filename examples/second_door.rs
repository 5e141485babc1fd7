//! A charge and the host's own row in one transaction: both are committed, or neither.
//!
//! ```sh
//! cargo run --example second_door
//! ```

use drawdown::rusqlite::{Connection, TransactionBehavior};
use drawdown::{AccountKey, Charge, Context, Engine, GrantCredit, GrantType, Owner};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");
    let engine = Engine::builder().url(format!("sqlite://{}", path.display())).build()?;
    let acme = Context::tenant("acme")?;
    let user = Owner::user("u1")?;
    engine.execute(acme.key("signup")?.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;

    // The host's own connection to the same file, and a table of its own.
    let mut connection = Connection::open(&path)?;
    connection.execute_batch("CREATE TABLE app_orders (id TEXT PRIMARY KEY, audit_id TEXT NOT NULL) STRICT")?;

    for (id, cost) in [("order-1", "4"), ("order-2", "5"), ("order-2", "5"), ("order-3", "7")] {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let charge = acme.key(id)?.request(Charge::new(user.clone(), cost.parse()?));
        match engine.join(&transaction)?.stage(charge) {
            Ok(pending) if pending.as_uncommitted().idempotent_replay => println!("{id}: was paid before"),
            Ok(pending) => {
                let audit_id = pending.as_uncommitted().audit_id.to_string();
                transaction.execute("INSERT INTO app_orders VALUES (?1, ?2)", [id, &audit_id])?;
                transaction.commit()?;
                println!("{id}: paid, {} left", pending.assuming_commit().balance_after);
            }
            Err(refused) => println!("{id}: {refused}"),
        }
    }

    let orders: i64 = connection.query_row("SELECT count(*) FROM app_orders", [], |row| row.get(0))?;
    let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    println!("{orders} orders, {} left", engine.balance(&account)?.available);
    assert!(engine.verify()?.is_clean());
    Ok(())
}

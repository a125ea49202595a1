/// The type `Bag`.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
pub struct Bag {
    /// `*Item(itemId)`
    #[sproto(tag = 0, key = "item_id")]
    pub items: std::collections::BTreeMap<String, Item>,
    /// `*Entry()`
    #[sproto(tag = 1, pairs)]
    pub counts: std::collections::BTreeMap<String, i64>,
    /// `*Odd()`
    #[sproto(tag = 2)]
    pub odd: Vec<Odd>,
    /// `Bag`
    #[sproto(tag = 3)]
    pub parent: Option<Box<Bag>>,
    /// `boolean`
    #[sproto(tag = 4, name = "self")]
    pub self_: Option<bool>,
    /// `*double`
    #[sproto(tag = 5)]
    pub history: Vec<f64>,
    /// `*integer(1)`
    #[sproto(tag = 6, decimals = 1)]
    pub prices: Vec<f64>,
}

/// The type `Entry`.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
pub struct Entry {
    /// `string`
    #[sproto(tag = 0)]
    pub key: Option<String>,
    /// `integer`
    #[sproto(tag = 1)]
    pub value: Option<i64>,
}

/// A thing that can be owned.
/// There may be many of it.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
pub struct Item {
    /// `string`
    #[sproto(tag = 0, name = "itemId")]
    pub item_id: String,
    /// `integer`
    #[sproto(tag = 1)]
    pub r#type: Option<i64>,
    /// in gold
    #[sproto(tag = 2, decimals = 2)]
    pub price: Option<f64>,
    /// `Item.level_range`
    #[sproto(tag = 3)]
    pub levels: Option<ItemLevelRange>,
    /// `binary`
    #[sproto(tag = 4)]
    pub raw: Option<Vec<u8>>,
}

/// The type `Item.level_range`.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
#[sproto(name = "Item.level_range")]
pub struct ItemLevelRange {
    /// `integer`
    #[sproto(tag = 0)]
    pub low: Option<i64>,
    /// `integer`
    #[sproto(tag = 1)]
    pub high: Option<i64>,
}

/// The type `Odd`.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
pub struct Odd {
    /// `string`
    #[sproto(tag = 3)]
    pub key: Option<String>,
    /// `integer`
    #[sproto(tag = 5)]
    pub value: Option<i64>,
}

/// Buys one thing.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
#[sproto(name = "buy.request")]
pub struct BuyRequest {
    /// `string`
    #[sproto(tag = 0)]
    pub id: Option<String>,
}

/// What stands in front of every message.
#[derive(Debug, Clone, Default, PartialEq, ::fulmar_sproto::Sproto)]
#[sproto(name = "package")]
pub struct Package {
    /// tag of the protocol
    #[sproto(tag = 0)]
    pub r#type: Option<i64>,
    /// `integer`
    #[sproto(tag = 1)]
    pub session: Option<i64>,
}

/// Buys one thing.
#[derive(Debug, Clone, Copy)]
pub struct Buy;

impl ::fulmar_sproto::Call for Buy {
    const NAME: &'static str = "buy";
    const TAG: u16 = 1;
    type Request = BuyRequest;
    type Response = Item;
}

/// The protocol `ping`.
#[derive(Debug, Clone, Copy)]
pub struct Ping;

impl ::fulmar_sproto::Call for Ping {
    const NAME: &'static str = "ping";
    const TAG: u16 = 2;
    type Request = ();
    type Response = ();
}

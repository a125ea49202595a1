//! The Lua API in three lists that must agree: skynet's names (`meta/names.lua`), the functions that are registered, and the
//! definitions for editors in `lualib/meta`.

use fulmar_tests::run_script;

#[test]
fn definitions_functions_and_skynets_names_agree() {
    run_script("meta", "t_meta", |_, _| ());
}

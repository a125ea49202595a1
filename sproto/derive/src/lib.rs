//! `#[derive(Sproto)]`: see `fulmar_sproto::Sproto`, which documents the attributes.

#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitInt, LitStr, Result};

/// Implements `Sproto` for a structure with named fields. The attributes are described at the trait.
#[proc_macro_derive(Sproto, attributes(sproto))]
pub fn derive_sproto(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// A field with what its attributes say.
struct Field<'a> {
    ident: &'a Ident,
    ty: &'a syn::Type,
    name: String,
    tag: u16,
    /// The type that reads and writes the field, when it is not the field's own.
    codec: Option<TokenStream>,
    /// What that type needs beside it.
    items: TokenStream,
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "Sproto is derived for structures only",
        ));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new(
            input.ident.span(),
            "the fields of a message have names",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a message has no type parameters",
        ));
    }
    let type_name = type_name(input)?;
    let mut fields = named.named.iter().map(read_field).collect::<Result<Vec<_>>>()?;
    fields.sort_by_key(|field| field.tag);
    for pair in fields.windows(2) {
        if pair[0].tag == pair[1].tag {
            return Err(Error::new(
                pair[1].ident.span(),
                format!("tag {} is taken", pair[1].tag),
            ));
        }
    }

    let ident = &input.ident;
    let mut words = 0usize;
    let mut next = 0;
    for field in &fields {
        words += if field.tag == next { 1 } else { 2 };
        next = field.tag + 1;
    }
    let krate = quote!(::fulmar_sproto);
    let encode = fields.iter().map(|field| {
        let Field { ident, tag, .. } = field;
        let codec = codec(field, &krate);
        quote!(<#codec>::write(&self.#ident, #tag, &mut record, out, level)?;)
    });
    let names = fields.iter().map(|Field { ident, name, .. }| {
        let ident = ident.to_string();
        let ident = ident.trim_start_matches("r#");
        quote!((#ident, #name))
    });
    // Fields may be called as the locals of this function are.
    let local = |field: &Field<'_>| quote::format_ident!("__field_{}", field.tag);
    let slots = fields.iter().map(|field| {
        let (local, ty) = (local(field), field.ty);
        quote!(let mut #local: ::core::option::Option<#ty> = ::core::option::Option::None;)
    });
    let decode = fields.iter().map(|field| {
        let Field { tag, name, .. } = field;
        let local = local(field);
        let codec = codec(field, &krate);
        let tag = u32::from(*tag);
        quote! {
            #tag => #local = ::core::option::Option::Some(
                <#codec>::read(slot, level).map_err(|error| error.in_field(#type_name, #name))?,
            ),
        }
    });
    let build = fields.iter().map(|field| {
        let (ident, local) = (field.ident, local(field));
        quote!(#ident: #local.unwrap_or_default(),)
    });
    let describe = fields.iter().map(|field| {
        let Field { tag, name, .. } = field;
        let codec = codec(field, &krate);
        quote! {
            let kind = <#codec>::describe(text);
            text.field(#name, #tag, &kind);
        }
    });

    let items = fields.iter().map(|field| &field.items);
    let implementation = quote! {
        #(#items)*

        #[automatically_derived]
        impl #krate::Sproto for #ident {
            const NAME: &'static str = #type_name;
            const FIELDS: &'static [(&'static str, &'static str)] = &[#(#names),*];

            fn encode_at(
                &self,
                out: &mut ::std::vec::Vec<u8>,
                level: usize,
            ) -> ::core::result::Result<(), #krate::EncodeError> {
                #krate::derived::enter_encode(level)?;
                let mut record = #krate::wire::Record::begin(out, #words);
                #(#encode)*
                record.finish(out);
                ::core::result::Result::Ok(())
            }

            fn decode_at(
                message: &[u8],
                level: usize,
            ) -> ::core::result::Result<(Self, &[u8]), #krate::DecodeError> {
                #(#slots)*
                let mut fields = #krate::wire::Fields::new(message)?;
                while let ::core::option::Option::Some((tag, slot)) = fields.next_field()? {
                    match tag {
                        #(#decode)*
                        _ => continue,
                    }
                    #krate::derived::enter_decode(level)?;
                }
                ::core::result::Result::Ok((Self { #(#build)* }, fields.rest()))
            }

            fn describe(text: &mut #krate::derived::SchemaText) {
                if text.begin(#type_name) {
                    #(#describe)*
                    text.end();
                }
            }
        }

        #[automatically_derived]
        impl #krate::derived::Codec for #ident {
            type Value = Self;

            fn write(
                value: &Self,
                tag: u16,
                record: &mut #krate::wire::Record,
                out: &mut ::std::vec::Vec<u8>,
                level: usize,
            ) -> ::core::result::Result<(), #krate::EncodeError> {
                #krate::derived::write_struct(value, tag, record, out, level)
            }

            fn read(
                slot: #krate::wire::Slot<'_>,
                level: usize,
            ) -> ::core::result::Result<Self, #krate::DecodeError> {
                #krate::derived::read_struct(slot.item()?, level)
            }

            fn describe(text: &mut #krate::derived::SchemaText) -> ::std::string::String {
                text.mention::<Self>()
            }
        }

        #[automatically_derived]
        impl #krate::derived::Element for #ident {
            fn write_all<'a>(
                values: impl ::core::iter::Iterator<Item = &'a Self>,
                out: &mut ::std::vec::Vec<u8>,
                level: usize,
            ) -> ::core::result::Result<(), #krate::EncodeError>
            where
                Self: 'a,
            {
                #krate::derived::write_structs(values, out, level)
            }

            fn read_all(
                slot: #krate::wire::Slot<'_>,
                level: usize,
            ) -> ::core::result::Result<::std::vec::Vec<Self>, #krate::DecodeError> {
                #krate::derived::read_structs(slot, level)
            }
        }
    };
    // Names of helpers stay in here.
    Ok(quote!(const _: () = { #implementation };))
}

fn codec(field: &Field<'_>, krate: &TokenStream) -> TokenStream {
    let own = field.ty;
    let codec = field.codec.clone().unwrap_or_else(|| quote!(#own));
    quote!(#codec as #krate::derived::Codec)
}

fn type_name(input: &DeriveInput) -> Result<String> {
    let mut name = input.ident.to_string();
    for attribute in input
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("sproto"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name = meta.value()?.parse::<LitStr>()?.value();
                return Ok(());
            }
            Err(meta.error("a type has the attribute name = \"...\""))
        })?;
    }
    Ok(name)
}

fn read_field(field: &syn::Field) -> Result<Field<'_>> {
    let ident = field.ident.as_ref().expect("the fields have names");
    let raw = ident.to_string();
    let mut name = raw.strip_prefix("r#").unwrap_or(&raw).to_owned();
    let (mut tag, mut codec, mut items) = (None, None, TokenStream::new());
    let ty = &field.ty;
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("sproto"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("tag") {
                let number: LitInt = meta.value()?.parse()?;
                let value: u16 = number.base10_parse()?;
                if value > 32766 {
                    return Err(Error::new(number.span(), "tags are at most 32766"));
                }
                tag = Some(value);
            } else if meta.path.is_ident("name") {
                name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("decimals") {
                let number: LitInt = meta.value()?.parse()?;
                let digits: u8 = number.base10_parse()?;
                if digits > 9 {
                    return Err(Error::new(number.span(), "at most 9 decimal places"));
                }
                codec = Some(quote!(::fulmar_sproto::derived::Decimals<#digits, #ty>));
            } else if meta.path.is_ident("key") {
                let key = meta.value()?.parse::<LitStr>()?.value();
                if syn::parse_str::<Ident>(&key).is_err() {
                    return Err(meta.error("the key is the name of a field of the elements"));
                }
                let helper = Ident::new(&format!("KeyOf_{}", raw.trim_start_matches("r#")), ident.span());
                codec = Some(quote!(::fulmar_sproto::derived::Keyed<#helper, #ty>));
                items = keyed(&helper, &key, ty);
            } else if meta.path.is_ident("pairs") {
                codec = Some(quote!(::fulmar_sproto::derived::Pairs<#ty>));
            } else {
                return Err(meta.error("a field has the attributes tag, name, decimals, key and pairs"));
            }
            Ok(())
        })?;
    }
    let Some(tag) = tag else {
        return Err(Error::new(
            field.span(),
            "a field needs a tag: #[sproto(tag = 0)]",
        ));
    };
    Ok(Field {
        ident,
        ty,
        name,
        tag,
        codec,
        items,
    })
}

/// What tells the key of an element that carries it in the field `key`.
fn keyed(helper: &Ident, key: &str, ty: &syn::Type) -> TokenStream {
    let field = syn::parse_str::<Ident>(key).unwrap_or_else(|_| Ident::new("_", ty.span()));
    let key = key.trim_start_matches("r#");
    quote! {
        #[allow(non_camel_case_types)]
        struct #helper;

        #[automatically_derived]
        impl ::fulmar_sproto::derived::KeyOf<#ty> for #helper {
            const NAME: &'static str = #key;

            fn key(
                value: &<#ty as ::fulmar_sproto::derived::Map>::Value,
            ) -> <#ty as ::fulmar_sproto::derived::Map>::Key {
                ::core::clone::Clone::clone(&value.#field)
            }
        }
    }
}

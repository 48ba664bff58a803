//! Ids as types of their own, so that none is taken for another: `osm_protocol::id!` makes one, and checks its form where it
//! enters.
//!
//! Four forms: a UUID (RFC 9562) in its one canonical text, lower case with hyphens; a SHA-256 in base64url without padding; a
//! number that somebody else gives; and opaque text that somebody else gives. All but the last are `Copy`. All are written to
//! JSON, logs and columns as that text or number.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;

/// What was to be an id, and is none; says which form it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct NotAnId(&'static str);

const NO_UUID: NotAnId = NotAnId("a UUID in its canonical form (36 characters, lower case, hyphens)");
const NO_DIGEST: NotAnId = NotAnId("a SHA-256 in base64url (43 characters, no padding)");

/// Reads a UUID in the form in which ids are written, and no other: braces, `urn:uuid:` and capitals are refused.
///
/// # Errors
/// [`NotAnId`] for anything else.
pub fn canonical(text: &str) -> Result<uuid::Uuid, NotAnId> {
    let uuid = uuid::Uuid::try_parse(text).map_err(|_| NO_UUID)?;
    let mut buffer = uuid::Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) == text { Ok(uuid) } else { Err(NO_UUID) }
}

/// A SHA-256 that is an id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl FromStr for Digest {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| NO_DIGEST)?;
        bytes.try_into().map(Self).map_err(|_| NO_DIGEST)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

/// Makes a type for ids: `id! { /// Names a server. ServerId(uuid); }`, `KeyId(digest)`, `ChatId(i64)` or `CallbackId(text)`.
///
/// An id has [`Display`](fmt::Display), [`FromStr`] and serde's traits, and with the feature `server` it is a
/// column of both databases and a type of the OpenAPI document.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident(uuid);) => {
        $crate::id! { @checked $(#[$doc])* $name, uuid::Uuid, $crate::ids::canonical }
        $crate::id_of_the_server! { $name, uuid }
    };
    ($(#[$doc:meta])* $name:ident(digest);) => {
        $crate::id! { @checked $(#[$doc])* $name, $crate::ids::Digest, str::parse }
        $crate::id_of_the_server! { $name, digest }
    };
    (@checked $(#[$doc:meta])* $name:ident, $form:ty, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($form);

        impl From<$form> for $name {
            fn from(id: $form) -> Self {
                Self(id)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $parse(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::ids::deserialize(deserializer)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident(text);) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        $crate::id_of_the_server! { $name, text }
    };
    ($(#[$doc:meta])* $name:ident($number:ty);) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $number);

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$name> for $number {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        $crate::id_of_the_server! { $name, $number }
    };
}

/// Reads an id from its text, for [`id!`].
///
/// # Errors
/// The deserializer's, where it is no text or no id.
pub fn deserialize<'de, D: serde::Deserializer<'de>, T: std::str::FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Visitor<T>(std::marker::PhantomData<T>);
    impl<T: std::str::FromStr<Err: fmt::Display>> serde::de::Visitor<'_> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an id in its one text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Visitor(std::marker::PhantomData))
}

/// What only the backend needs of an id; nothing without the feature `server`, and nothing that a user of [`id!`] calls.
#[cfg(not(feature = "server"))]
#[doc(hidden)]
#[macro_export]
macro_rules! id_of_the_server {
    ($name:ident, $form:tt) => {};
}

/// An id as a column (TEXT or BIGINT) and as a path parameter of the OpenAPI document.
#[cfg(feature = "server")]
#[doc(hidden)]
#[macro_export]
macro_rules! id_of_the_server {
    ($name:ident, uuid) => {
        $crate::id_of_the_server! { @text $name, poem_openapi::registry::MetaSchema::new_with_format("string", "uuid") }
    };
    ($name:ident, digest) => {
        $crate::id_of_the_server! { @text $name, poem_openapi::registry::MetaSchema::new("string") }
    };
    (@text $name:ident, $schema:expr) => {
        $crate::id_of_the_server! { @column $name, String, id => id.to_string(), text => text.parse()? }

        impl poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl poem_openapi::types::ParseFromJSON for $name {
            fn parse_from_json(value: Option<serde_json::Value>) -> poem_openapi::types::ParseResult<Self> {
                let value = value.unwrap_or_default();
                let text = value.as_str().ok_or_else(|| poem_openapi::types::ParseError::expected_type(value.clone()))?;
                Ok(text.parse::<Self>()?)
            }
        }

        impl poem_openapi::types::ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> poem_openapi::types::ParseResult<Self> {
                Ok(text.parse::<Self>()?)
            }
        }

        impl poem_openapi::types::ToJSON for $name {
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(serde_json::Value::String(self.to_string()))
            }
        }
    };
    ($name:ident, text) => {
        $crate::id_of_the_server! { @column $name, String, id => id.0.clone(), text => Self(text) }
    };
    ($name:ident, $number:ty) => {
        $crate::id_of_the_server! { @column $name, i64, id => i64::from(id.0), number => Self(number.try_into()?) }
    };
    (@column $name:ident, $column:ty, $id:ident => $to:expr, $from:ident => $parsed:expr) => {
        impl<DB: sqlx::Database> sqlx::Type<DB> for $name
        where
            $column: sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <$column as sqlx::Type<DB>>::type_info()
            }

            fn compatible(ty: &DB::TypeInfo) -> bool {
                <$column as sqlx::Type<DB>>::compatible(ty)
            }
        }

        impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name
        where
            $column: sqlx::Encode<'q, DB>,
        {
            fn encode_by_ref(
                &self,
                buffer: &mut <DB as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                let $id = self;
                <$column as sqlx::Encode<'q, DB>>::encode($to, buffer)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name
        where
            $column: sqlx::Decode<'r, DB>,
        {
            fn decode(value: <DB as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let $from = <$column as sqlx::Decode<'r, DB>>::decode(value)?;
                Ok($parsed)
            }
        }
    };
}

// Below the macros: they are known by the order of the text.
id! {
    /// Names a paired server: given by the backend at pairing.
    ServerId(uuid);
}
id! {
    /// Names a command: the `jti` of its envelope.
    CommandId(uuid);
}
id! {
    /// Names a key: its JWK thumbprint (RFC 7638).
    KeyId(digest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn an_id_has_one_text() {
        let id: ServerId = ID.parse().unwrap();
        assert_eq!(id.to_string(), ID);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{ID}\""));
        assert_eq!(serde_json::from_str::<ServerId>(&format!("\"{ID}\"")).unwrap(), id);
        for other in [
            String::new(),
            "s1".to_owned(),
            ID.to_uppercase(),
            ID.replace('-', ""),
            format!("{{{ID}}}"),
            format!("urn:uuid:{ID}"),
            format!("{ID} "),
            format!("\u{1b}]52;{ID}"),
        ] {
            assert_eq!(other.parse::<ServerId>(), Err(NO_UUID), "{other:?}");
            assert!(serde_json::from_value::<ServerId>(other.clone().into()).is_err(), "{other:?}");
        }
        assert!(serde_json::from_str::<ServerId>("7").is_err());
    }

    #[test]
    fn a_digest_has_one_text() {
        // RFC 8037, appendix A.3.
        let text = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(text.parse::<KeyId>().unwrap().to_string(), text);
        // Of another length, padded, in the other alphabet, with a bit that says nothing.
        for other in
            [&text[1..], "", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k=", &text.replace('_', "/"), &text.replace("S4k", "S4l")]
        {
            assert_eq!(other.parse::<KeyId>(), Err(NO_DIGEST), "{other:?}");
        }
    }
}

//! The methods of STUN (RFC 8489 §18.2) and TURN (RFC 8656 §17), and which classes each of them
//! has.

use super::header::Class;

pub(crate) const BINDING: u16 = 0x001;
pub(crate) const ALLOCATE: u16 = 0x003;
pub(crate) const REFRESH: u16 = 0x004;
pub(crate) const SEND: u16 = 0x006;
pub(crate) const DATA: u16 = 0x007;
pub(crate) const CREATE_PERMISSION: u16 = 0x008;
pub(crate) const CHANNEL_BIND: u16 = 0x009;

pub(super) const fn is_known(method: u16) -> bool {
    matches!(method, BINDING | ALLOCATE | REFRESH | SEND | DATA | CREATE_PERMISSION | CHANNEL_BIND)
}

/// RFC 8489 §6.3: whether the method has messages of this class. A method that is not known has
/// all of them: what to do with it is not a question of form.
pub(super) const fn has_class(method: u16, class: Class) -> bool {
    match method {
        SEND | DATA => matches!(class, Class::Indication),
        ALLOCATE | REFRESH | CREATE_PERMISSION | CHANNEL_BIND => {
            !matches!(class, Class::Indication)
        }
        _ => true,
    }
}

/// The Envoy v3 API as far as Weft supports it: one struct per message, named as the message is.
///
/// Properties have the field names in lowerCamelCase. An absent message, wrapper (`google.protobuf.UInt32Value`) or
/// duration is nil; an absent plain field has proto3's zero value; a `oneof` is an enum. What a field means is what Envoy's
/// documentation says, unless the comment here says otherwise.
package enum Envoy {}

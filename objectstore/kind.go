package objectstore

// Kind names a request to a bucket: in metrics, in prices and in the scripts of faulty.
type Kind string

// The kinds of request, one for each method of Store. S3 prices Create and List alike, Get, GetRange and Head
// alike, and Delete at nothing.
const (
	KindCreate   Kind = "create"
	KindGet      Kind = "get"
	KindGetRange Kind = "get_range"
	KindHead     Kind = "head"
	KindList     Kind = "list"
	KindDelete   Kind = "delete"
)

// Kinds lists every kind.
var Kinds = []Kind{KindCreate, KindGet, KindGetRange, KindHead, KindList, KindDelete}

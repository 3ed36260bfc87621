package objectstore

// Kind names a request to a bucket: in metrics, in prices and in the scripts of faulty.
type Kind string

// The kinds of request, one for each method of Store and of Upload. S3 prices Create, List, Upload, Part and Complete
// alike, Get, GetRange and Head alike, and Delete and Abort at nothing.
const (
	KindCreate   Kind = "create"
	KindGet      Kind = "get"
	KindGetRange Kind = "get_range"
	KindHead     Kind = "head"
	KindList     Kind = "list"
	KindDelete   Kind = "delete"
	KindUpload   Kind = "upload"
	KindPart     Kind = "upload_part"
	KindComplete Kind = "upload_complete"
	KindAbort    Kind = "upload_abort"
)

// Kinds lists every kind.
var Kinds = []Kind{
	KindCreate, KindGet, KindGetRange, KindHead, KindList, KindDelete, KindUpload, KindPart, KindComplete, KindAbort,
}

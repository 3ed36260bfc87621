package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// What a Store's methods may return, wrapped. Everything else means "unknown": the call may or may not have
// taken effect, and the caller asks again with the same key and the same bytes (rule S1).
var (
	// ErrExists says that the key existed before this Create, so that this call created nothing.
	ErrExists = errors.New("object exists")
	// ErrNotFound says that there is no object under the key.
	ErrNotFound = errors.New("object not found")
	// ErrRange says that the range asked for does not lie inside the object.
	ErrRange = errors.New("range outside the object")
)

// Store is a bucket. All methods may be called concurrently. An implementation never retries a Create by itself.
// Keys are those that CheckKey lets pass; any other is an error and reaches no store.
type Store interface {
	// Create stores body under key if and only if the key does not exist: of any number of concurrent creators
	// one gets nil and all others ErrExists. Nil means durable. After any other error it is unknown whether
	// the object was created. The body's slices are only read, and not kept after the return.
	Create(ctx context.Context, key string, body Body) error
	// Get returns the whole object. The caller owns the slice.
	Get(ctx context.Context, key string) ([]byte, error)
	// GetRange returns length bytes from offset on, fewer where the object ends before, as HTTP does; ErrRange when it
	// ends at or before offset, or length is not positive. A negative offset counts from the end, and then length is ignored:
	// GetRange(ctx, key, -64, 0) gives the last 64 bytes, or the whole object if it is shorter.
	GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error)
	// Head returns size and age.
	Head(ctx context.Context, key string) (Info, error)
	// List calls fn for each object whose key starts with prefix, in key order, until fn returns an error, which
	// List returns. The answer may be old: it is a hint, used for nothing that must be right.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Delete removes the object. Deleting what does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// Info is what a bucket tells of an object without its bytes.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time // by the store's clock
}

// Body is what Create stores: a list of slices, sent one after the other without being copied together.
type Body struct {
	Parts  [][]byte
	Size   int64             // sum of the lengths of Parts
	CRC32C uint32            // of all bytes of Parts, for the store to check
	Meta   map[string]string // object metadata where the store has any; lower-case keys; never needed to read back
}

// NewBody makes a Body of parts and computes its size and CRC32C.
func NewBody(parts ...[]byte) Body {
	b := Body{Parts: parts}
	for _, p := range parts {
		b.Size += int64(len(p))
		b.CRC32C = updateCRC32C(b.CRC32C, p)
	}
	return b
}

// Check reports a body whose Size or CRC32C are not those of its parts: its bytes were changed since it was made.
func (b Body) Check() error {
	if c := NewBody(b.Parts...); c.Size != b.Size || c.CRC32C != b.CRC32C {
		return fmt.Errorf("body of %d bytes with crc32c %08x: says %d bytes, %08x", c.Size, c.CRC32C, b.Size, b.CRC32C)
	}
	return nil
}

// Reader reads the body from its start. It is an io.ReadSeeker, as the SDKs ask for.
func (b Body) Reader() io.ReadSeeker { return &bodyReader{body: b} }

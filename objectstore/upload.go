package objectstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Sizes of an upload's parts.
const (
	// MinPart is the least size of every part but the last. S3 asks for 5 MiB.
	MinPart = 16 << 20
	// PartSize is the size of the parts that CreateLarge sends; up to twice that it makes one Create. Most
	// requests are paid for by number, and this is the size of a slot.
	PartSize = 64 << 20
	// MaxParts is how many parts an upload has at most, as in S3.
	MaxParts = 10_000
	maxPart  = 5 << 30
)

var (
	// ErrNoUploads says that a store is no Uploader, or wraps one that is none.
	ErrNoUploads = errors.New("the store takes no uploads")
	// ErrUploadGone says that the upload was aborted, and that there is no object under its key: begin anew.
	ErrUploadGone = errors.New("upload gone")
)

// Uploader is a Store that takes objects too large for one body in parts. Every Store of this module is one; see
// Uploads. Safe for concurrent use.
type Uploader interface {
	// Upload begins an object. Nothing is under the key until it is completed. After an error there may be an upload
	// nobody knows of, which AbortStale ends.
	Upload(ctx context.Context, key string) (Upload, error)
	// AbortStale ends the uploads of keys that start with prefix and were begun before a moment of the store's clock, and
	// says how many. Whoever still works on one of them meets ErrUploadGone. With an error some may have been ended. It is
	// for tidiness: a store may not list all there are, as a MinIO that was started again, which ends them by itself after a day.
	AbortStale(ctx context.Context, prefix string, before time.Time) (int, error)
}

// Upload is an object being made of parts. For one goroutine.
type Upload interface {
	// Append adds the next part: of at least MinPart bytes, but for the last, and at most 5 GiB. After an error nothing was
	// added, and the same part may be appended again. The body's slices are only read, and not kept after the return.
	Append(ctx context.Context, part Body) error
	// Complete makes the parts one object if and only if the key does not exist. Nil means durable; ErrExists that there is
	// an object under the key, which is this very one if an earlier Complete returned an error; ErrUploadGone that there is
	// none and will be none. After any other error it is unknown whether the object was created, and Complete may be called again.
	Complete(ctx context.Context) error
	// Abort gives the parts up. After Complete returned nil it does nothing. An upload that is gone is no error.
	Abort(ctx context.Context) error
}

// Uploads gives s as an Uploader, or ErrNoUploads.
func Uploads(s Store) (Uploader, error) {
	if u, ok := s.(Uploader); ok {
		return u, nil
	}
	return nil, fmt.Errorf("%w: %T", ErrNoUploads, s)
}

// PartCount keeps what Append asks of parts, for those who implement it. The zero value is before the first part.
type PartCount struct {
	Parts int   // that were added
	Size  int64 // of all of them
	short bool  // the newest is shorter than any but the last may be
}

// Admit says whether a part of size bytes may come next.
func (c *PartCount) Admit(size int64) error {
	switch {
	case c.short:
		return fmt.Errorf("part %d of an upload behind one of less than %d bytes", c.Parts+1, MinPart)
	case size < 1 || size > maxPart:
		return fmt.Errorf("part %d of an upload has %d bytes, want 1 to %d", c.Parts+1, size, int64(maxPart))
	case c.Parts == MaxParts:
		return fmt.Errorf("upload of more than %d parts", MaxParts)
	}
	return nil
}

// Add counts a part.
func (c *PartCount) Add(size int64) {
	c.Parts++
	c.Size += size
	c.short = size < MinPart
}

// Whole says whether the upload may be completed.
func (c *PartCount) Whole() error {
	if c.Parts == 0 {
		return errors.New("upload without a part")
	}
	return nil
}

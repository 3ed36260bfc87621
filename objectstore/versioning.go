package objectstore

import (
	"context"
	"errors"
)

// ErrNoVersioning says that a store cannot tell whether it keeps what is deleted.
var ErrNoVersioning = errors.New("the store does not tell whether it keeps versions")

// Versioned is a Store that tells whether earlier versions of its objects are kept: then Delete only hides what it deletes. It
// is for people, who must delete versions themselves.
type Versioned interface {
	// Versioning says whether versions are kept, or were until somebody suspended that: those of then are there still.
	Versioning(ctx context.Context) (kept bool, err error)
}

// Versioning asks a store whether it keeps versions; ErrNoVersioning if it cannot tell.
func Versioning(ctx context.Context, s Store) (kept bool, err error) {
	if v, ok := s.(Versioned); ok {
		return v.Versioning(ctx)
	}
	return false, ErrNoVersioning
}

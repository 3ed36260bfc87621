package local

import "context"

// Versioning implements objectstore.Versioned: a directory keeps none; what its file system does below is not ours to know.
func (s *Store) Versioning(context.Context) (bool, error) { return false, nil }

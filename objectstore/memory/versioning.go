package memory

import "context"

// Versioning implements objectstore.Versioned: there are none.
func (s *Store) Versioning(context.Context) (bool, error) { return false, nil }

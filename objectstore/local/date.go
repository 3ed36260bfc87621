package local

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Date implements objectstore.Dated: the time that the file system gives to a file made now.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	if err := s.admit(ctx, "date", "now"); err != nil {
		return time.Time{}, err
	}
	if s.reads {
		return time.Time{}, fmt.Errorf("date: %w", errReads)
	}
	f, err := s.createTemp("")
	if err != nil {
		return time.Time{}, fmt.Errorf("date: %w", explain(err))
	}
	info, err := f.Stat()
	f.Close()
	if rerr := os.Remove(f.Name()); err == nil {
		err = rerr
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("date: %w", err)
	}
	return info.ModTime(), nil
}

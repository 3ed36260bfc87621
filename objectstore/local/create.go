package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/odradek/odradek/objectstore"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Create implements objectstore.Store. The body's size and CRC32C are checked as it is written; one that fails is
// refused and nothing is created. Blocks for two fsyncs, more where directories are new.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	if err := s.admit(ctx, "create", key); err != nil {
		return err
	}
	if s.reads {
		return fmt.Errorf("create %s: %w", key, errReads)
	}
	name, err := s.write(ctx, body)
	if err != nil {
		return fmt.Errorf("create %s: %w", key, explain(err))
	}
	err = s.publish(key, name)
	// The object keeps its bytes under its own name. A leftover of a crash right here goes at the next Open.
	os.Remove(name)
	if err != nil {
		return fmt.Errorf("create %s: %w", key, explain(err))
	}
	return nil
}

// write puts the body into a new temporary file and fsyncs it. After an error there is no file.
func (s *Store) write(ctx context.Context, body objectstore.Body) (name string, err error) {
	f, err := s.createTemp("")
	if err != nil {
		return "", err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var size int64
	var crc uint32
	for _, p := range body.Parts {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if _, err := f.Write(p); err != nil {
			return "", err
		}
		size += int64(len(p))
		crc = crc32.Update(crc, castagnoli, p)
	}
	if size != body.Size || crc != body.CRC32C {
		return "", fmt.Errorf("body of %d bytes with crc32c %08x: says %d bytes, %08x", size, crc, body.Size, body.CRC32C)
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	return f.Name(), nil
}

// publish links the temporary file to the key's name and makes the name durable. From the link on other processes
// see the object, and an error means unknown.
func (s *Store) publish(key, name string) error {
	path := s.path(key)
	err := s.link(name, path)
	if errors.Is(err, fs.ErrExist) {
		// Whoever created it may have been killed before its fsyncs: what exists must also stay.
		if err := s.syncObject(path); err != nil {
			return err
		}
		return objectstore.ErrExists
	}
	if err != nil {
		return err
	}
	return s.syncName(path)
}

// link gives the file its final name. Directories are made when the first attempt finds none, or when one was
// taken away since.
func (s *Store) link(name, path string) error {
	err := os.Link(name, path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	s.names.forget()
	return os.Link(name, path)
}

// syncObject makes an object durable that someone else created: its bytes and its name.
func (s *Store) syncObject(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is a directory: a key must not be the directory of another", path)
	}
	if err := fsync(path); err != nil {
		return s.fail(err)
	}
	return s.syncName(path)
}

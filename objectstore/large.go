package objectstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// largeAttempts is how often CreateLarge sends each request that changes something.
	largeAttempts = 5
	// largePause is waited for before the second attempt, twice that before the third, and so on.
	largePause = 200 * time.Millisecond
	// abortTime bounds how long CreateLarge tries to end an upload that failed.
	abortTime = 10 * time.Second
	// largeChunk is the unit in which CreateLarge takes memory, and smallChunk what it begins with: each chunk is as large as
	// all before it, until it is that unit.
	largeChunk = 1 << 20
	smallChunk = 16 << 10
)

// CreateLarge stores what write emits under key, if and only if the key does not exist, and gives its size. Up to twice
// PartSize it is one Create, which is one request where an Upload is four; above that an Upload of such parts: one is sent
// while the next is filled, which together is the memory that it takes. A store that is no Uploader takes no more than one
// Create: ErrNoUploads. emit keeps none of the bytes that it is given. An error of write, of emit or of the store ends the
// upload and is returned.
//
// What the store answers with an error that says nothing is sent again a few times. So the key must be one that nobody else
// creates, such as one drawn at random: ErrExists at the first attempt is returned, at a later one the object is an earlier
// attempt's if it has the size. The goroutines that it starts end before it returns.
func CreateLarge(ctx context.Context, s Store, key string, write func(emit func(part []byte) error) error) (size int64, err error) {
	w := largeWriter{store: s, key: key, partSize: PartSize}
	return w.create(ctx, write)
}

// largeWriter is one CreateLarge.
type largeWriter struct {
	store    Store
	key      string
	partSize int64
	size     int64
	held     largePart // the first part, until it is known that there are more than two
	filling  largePart
	free     [][]byte // chunks of parts that were sent

	upload  Upload // nil up to twice partSize
	sending chan error
	sent    largePart // the part on its way, whose chunks are free again after
}

// largePart is bytes in chunks.
type largePart struct {
	chunks [][]byte
	size   int64
}

func (w *largeWriter) create(ctx context.Context, write func(emit func([]byte) error) error) (int64, error) {
	if err := CheckKey(w.key); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := write(func(b []byte) error { return w.emit(ctx, b) })
	if err == nil {
		err = w.finish(ctx)
	}
	if err != nil {
		cancel() // the part on its way
		w.abort(context.WithoutCancel(ctx))
		return 0, err
	}
	return w.size, nil
}

// emit copies b behind what came before. A part is sent when there is more than it takes: the last one must not be empty.
func (w *largeWriter) emit(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		switch {
		case w.filling.size < w.partSize:
		case w.upload == nil && w.held.size == 0:
			w.held, w.filling = w.filling, largePart{}
		default:
			if err := w.send(ctx); err != nil {
				return err
			}
		}
		n := w.fill(b[:min(int64(len(b)), w.partSize-w.filling.size)])
		b = b[n:]
	}
	return ctx.Err()
}

// fill copies what of b the last chunk, or a new one, has room for.
func (w *largeWriter) fill(b []byte) int {
	p := &w.filling
	last := len(p.chunks) - 1
	if last < 0 || len(p.chunks[last]) == cap(p.chunks[last]) {
		var chunk []byte
		if n := len(w.free); n > 0 {
			chunk, w.free = w.free[n-1][:0], w.free[:n-1]
		} else {
			chunk = make([]byte, 0, min(largeChunk, max(smallChunk, w.size)))
		}
		p.chunks = append(p.chunks, chunk)
		last++
	}
	c := p.chunks[last]
	n := min(len(b), cap(c)-len(c))
	p.chunks[last] = append(c, b[:n]...)
	p.size += int64(n)
	w.size += int64(n)
	return n
}

// send puts the full part on its way once those before have arrived.
func (w *largeWriter) send(ctx context.Context) error {
	if w.upload == nil {
		u, err := Uploads(w.store)
		if err != nil {
			return fmt.Errorf("create %s: %w", w.key, err)
		}
		if err := persist(ctx, func(int) (err error) {
			w.upload, err = u.Upload(ctx, w.key)
			return err
		}); err != nil {
			w.upload = nil
			return err
		}
		w.start(ctx, w.held)
		w.held = largePart{}
	}
	if err := w.arrived(); err != nil {
		return err
	}
	w.start(ctx, w.filling)
	w.filling = largePart{}
	return nil
}

// start puts a part on its way.
func (w *largeWriter) start(ctx context.Context, part largePart) {
	upload, done := w.upload, make(chan error, 1)
	w.sent, w.sending = part, done
	go func() {
		body := NewBody(part.chunks...)
		done <- persist(ctx, func(int) error { return upload.Append(ctx, body) })
	}()
}

// arrived waits for the part on its way.
func (w *largeWriter) arrived() error {
	if w.sending == nil {
		return nil
	}
	err := <-w.sending
	w.free = append(w.free, w.sent.chunks...)
	w.sending, w.sent = nil, largePart{}
	return err
}

// finish creates the object of what came.
func (w *largeWriter) finish(ctx context.Context) error {
	if w.upload == nil {
		body := NewBody(append(w.held.chunks, w.filling.chunks...)...)
		return persist(ctx, func(attempt int) error { return w.own(ctx, attempt, w.store.Create(ctx, w.key, body)) })
	}
	if err := w.send(ctx); err != nil {
		return err
	}
	if err := w.arrived(); err != nil {
		return err
	}
	return persist(ctx, func(attempt int) error { return w.own(ctx, attempt, w.upload.Complete(ctx)) })
}

// own tells an object that an earlier attempt made from another's.
func (w *largeWriter) own(ctx context.Context, attempt int, err error) error {
	if attempt == 0 || !errors.Is(err, ErrExists) {
		return err
	}
	info, herr := w.store.Head(ctx, w.key)
	if herr != nil {
		return fmt.Errorf("create %s: %w", w.key, herr)
	}
	if info.Size != w.size {
		return err
	}
	return nil
}

// abort ends the upload, if there is one. What it leaves in the store AbortStale ends later.
func (w *largeWriter) abort(ctx context.Context) {
	_ = w.arrived() // an error was there before
	if w.upload == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, abortTime)
	defer cancel()
	_ = w.upload.Abort(ctx)
}

// persist makes a call until it returns nil or an error that another attempt does not change.
func persist(ctx context.Context, call func(attempt int) error) error {
	pause := largePause
	for attempt := 0; ; attempt++ {
		err := call(attempt)
		if err == nil || errors.Is(err, ErrExists) || errors.Is(err, ErrUploadGone) || attempt == largeAttempts-1 {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
}

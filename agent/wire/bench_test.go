package wire_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/wire"
)

// BenchmarkReply measures one answer's way to a reader on loopback, made of parts as a fetch is.
func BenchmarkReply(b *testing.B) {
	for _, parts := range []int{1, 16, 256} {
		size := 4 << 20
		b.Run(fmt.Sprintf("4MiB-%d", parts), func(b *testing.B) {
			part := make([]byte, size/parts)
			c := benchServer(b, func(context.Context, *api.Conn, *api.Frame) (api.Reply, error) {
				return func(context.Context) (net.Buffers, error) {
					out := make(net.Buffers, parts)
					for i := range out {
						out[i] = part
					}
					return out, nil
				}, nil
			})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(numbered(1)); err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, c, int64(4+size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFrame measures reading requests, pipelined, with an answer of a few bytes each.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{100, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			c := benchServer(b, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
				return func(context.Context) (net.Buffers, error) { return net.Buffers{f.Bytes[:8]}, nil }, nil
			})
			body := frame(make([]byte, size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			done := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, c)
				done <- err
			}()
			for b.Loop() {
				if _, err := c.Write(body); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.Close()
			<-done
		})
	}
}

func benchServer(b *testing.B, h handlerFunc) net.Conn {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := wire.New(h, semaphore.NewWeighted(256<<20), wire.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return c
}

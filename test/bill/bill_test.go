package bill

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// Every call of a store, through both clients, to both servers: what the meter says left is what arrived, and so are the
// bytes. Some are refused once, and the client sends them again by itself.
func TestBill_EveryCallIsBilledAsItArrives(t *testing.T) {
	for _, s := range []struct {
		name   string
		server func(testing.TB) *servers.S3Server
	}{{"minio", servers.MinIO}, {"versitygw", servers.VersityGW}} {
		for _, client := range []string{"s3", "minio"} {
			t.Run(client+" client to "+s.name, func(t *testing.T) {
				server := s.server(t)
				server.Setenv(t)
				p := newProxy(t, server)
				p.refuse = func(kind objectstore.Kind, n int64) bool {
					return n%3 == 2 && (kind == objectstore.KindGet || kind == objectstore.KindGetRange || kind == objectstore.KindHead ||
						kind == objectstore.KindList || kind == objectstore.KindDelete)
				}
				at := p.endpoint(server).URL("bill")
				if client == "minio" {
					at = p.endpoint(server).MinioURL("bill")
				}
				store, _, err := bucket.Open(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				m, err := meter.New(store, prometheus.NewRegistry(), meter.AWSExpress)
				if err != nil {
					t.Fatal(err)
				}
				everyCall(t, m)
				want, wantBytes, _ := p.counted()
				price := 0.0
				for _, kind := range objectstore.Kinds {
					requests, moved := m.AllBilled(kind)
					if requests != want[kind] || moved != wantBytes[kind] {
						t.Errorf("%s: billed %d requests of %d bytes, %d of %d arrived", kind, requests, moved, want[kind], wantBytes[kind])
					}
					if want[kind] == 0 {
						t.Errorf("%s: none arrived", kind)
					}
					price += meter.AWSExpress.Of(kind, want[kind], wantBytes[kind])
				}
				if calls := m.AllRequests(objectstore.KindGet); want[objectstore.KindGet] <= calls {
					t.Errorf("%d calls of get came to %d requests: the client repeated none", calls, want[objectstore.KindGet])
				}
				if got := m.Dollars(); price == 0 || math.Abs(got-price) > 1e-12 {
					t.Errorf("the bill is %v dollars, what arrived costs %v", got, price)
				}
			})
		}
	}
}

// everyCall makes every call that a store has, with every kind of answer.
func everyCall(t *testing.T, m *meter.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := bytes.Repeat([]byte("odradek"), 3000)
	for i := range 7 {
		must(m.Create(ctx, fmt.Sprintf("bill/%d", i), objectstore.NewBody(body)))
	}
	if err := m.Create(ctx, "bill/0", objectstore.NewBody(body)); err == nil {
		t.Error("created twice")
	}
	for i := range 7 {
		_, err := m.Get(ctx, fmt.Sprintf("bill/%d", i))
		must(err)
		_, err = m.GetRange(ctx, fmt.Sprintf("bill/%d", i), 100, 1000)
		must(err)
		_, err = m.Head(ctx, fmt.Sprintf("bill/%d", i))
		must(err)
	}
	if _, err := m.Get(ctx, "bill/none"); err == nil {
		t.Error("read what is not there")
	}
	for range 3 {
		must(m.List(ctx, "bill/", func(objectstore.Info) error { return nil }))
	}
	for i := range 5 {
		must(m.Delete(ctx, fmt.Sprintf("bill/%d", i)))
	}
	part := bytes.Repeat([]byte("x"), objectstore.MinPart)
	u, err := m.Upload(ctx, "large/one")
	must(err)
	must(u.Append(ctx, objectstore.NewBody(part)))
	must(u.Append(ctx, objectstore.NewBody([]byte("rest"))))
	must(u.Complete(ctx))
	u, err = m.Upload(ctx, "large/two")
	must(err)
	must(u.Append(ctx, objectstore.NewBody(part)))
	must(u.Abort(ctx))
	_, err = m.Upload(ctx, "large/three")
	must(err)
	_, err = m.AbortStale(ctx, "large/", time.Now().Add(time.Hour))
	must(err)
}

package api

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill sets every field to something, arrays to n elements, so that what kmsg encodes shows every field's place.
func fill(v reflect.Value, n int, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, r)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				fill(v.Field(i), n, r)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), n, r)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n, r)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(20)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64N(100))
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	}
}

// everyVersion calls fn for each accepted version of each key.
func everyVersion(fn func(e *endpoint, version int16)) {
	for _, e := range sortedEndpoints() {
		for v := e.accepted; v <= e.max; v++ {
			fn(e, v)
		}
	}
}

func TestShapes_WalkWhatKmsgEncodes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	everyVersion(func(e *endpoint, version int16) {
		for n := range 4 {
			req := e.request()
			req.SetVersion(version)
			fill(reflect.ValueOf(req).Elem(), n, r)
			body := req.AppendTo(nil)
			w := walker{b: body, version: version, flexible: req.IsFlexible()}
			if err := w.walk(e.shape); err != nil || len(w.b) != 0 {
				t.Errorf("%s v%d with arrays of %d: %d of %d bytes left, %v", kmsg.NameForKey(e.key), version, n, len(w.b), len(body), err)
			}
			for cut := range body {
				if _, err := measure(e.shape, body[:cut], version, req.IsFlexible()); !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s v%d cut to %d of %d bytes: %v", kmsg.NameForKey(e.key), version, cut, len(body), err)
				}
			}
		}
	})
}

func TestShapes_NoDecodedElementCostsMoreThanCounted(t *testing.T) {
	var check func(name string, typ reflect.Type)
	check = func(name string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				f := typ.Field(i)
				if f.Name != "UnknownTags" {
					check(name+"."+f.Name, f.Type)
				}
			}
		case reflect.Pointer:
			check(name, typ.Elem())
		case reflect.Slice:
			if typ.Elem().Kind() == reflect.Struct && typ.Elem().Size() > structCost {
				t.Errorf("%s: an element takes %d bytes, counted are %d", name, typ.Elem().Size(), structCost)
			}
			check(name, typ.Elem())
		}
	}
	for _, e := range sortedEndpoints() {
		typ := reflect.TypeOf(e.request()).Elem()
		check(typ.Name(), typ)
	}
}

func TestMeasure_AmplificationIsRefusedBeforeDecoding(t *testing.T) {
	// A Metadata request of 10 MiB: topics of two bytes each, which decode to structs.
	n := 5 << 20
	body := appendLen(nil, n, true)
	for range n {
		body = append(body, make([]byte, 18)...)
	}
	_, err := measure(endpoints[3].shape, append(body, 0, 0, 0), 13, true)
	if !errors.Is(err, ErrAmplified) {
		t.Errorf("metadata of %d topics: %v, want ErrAmplified", n, err)
	}
	// Tags of two bytes each, which kmsg puts into a map.
	tags := append(appendLen(nil, 0, true), 0, 0)
	tags = append(tags, 0x80, 0x80, 0x80, 0x01) // 2^21 tags
	tags = append(tags, make([]byte, 4<<20)...)
	if _, err := measure(endpoints[3].shape, tags, 13, true); !errors.Is(err, ErrAmplified) {
		t.Errorf("2^21 tags: %v, want ErrAmplified", err)
	}
}

func TestMeasure_LyingLengthsAreMalformed(t *testing.T) {
	for name, body := range map[string][]byte{
		"array longer than the request": {0x7f, 0xff, 0xff, 0xff},
		"negative array":                {0x80, 0, 0, 0},
		"string longer than the rest":   {0, 0, 0, 1, 0x7f, 0xff, 'a'},
		"null string":                   {0, 0, 0, 1, 0xff, 0xff},
	} {
		if _, err := measure(endpoints[3].shape, body, 1, false); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	// kmsg would loop four billion times over tags that are not there.
	if _, err := measure(endpoints[60].shape, []byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f}, 0, true); !errors.Is(err, ErrMalformed) {
		t.Errorf("2^32-1 tags: %v, want ErrMalformed", err)
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("fetch-%dp", n), func(b *testing.B) {
			req := kmsg.NewPtrFetchRequest()
			req.Version = 18
			req.Topics = []kmsg.FetchRequestTopic{{Partitions: make([]kmsg.FetchRequestTopicPartition, n)}}
			body := req.AppendTo(nil)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := measure(endpoints[1].shape, body, 18, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package hardening

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
)

// glance is how long the answer to a damaged request is waited for: it may ask for a wait of days.
const glance = 30 * time.Millisecond

// TestMutation_DamagedRequestsOfEveryKeyAndVersion sends valid requests of all that is advertised, whole and with flipped
// bits, cut ends and changed lengths, beside bytes of no meaning.
func TestMutation_DamagedRequestsOfEveryKeyAndVersion(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	b := stand(t, a)
	createTopic(t, a, "mutant", 3)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var kinds []kmsg.Request
	for _, k := range ask[*kmsg.ApiVersionsResponse](t, dial(t, a), versionsRequest()).ApiKeys {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			req := kmsg.RequestForKey(k.ApiKey)
			req.SetVersion(v)
			kinds = append(kinds, req)
		}
	}
	var sent, answered, undecodable atomic.Int64
	work := make(chan kmsg.Request, 64)
	var workers sync.WaitGroup
	for i := range 16 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		workers.Go(func() {
			for req := range work {
				n, err := mutate(a, rnd, req)
				if sent.Add(1); err != nil {
					undecodable.Add(1)
					t.Error(err)
				}
				answered.Add(int64(n))
			}
		})
	}
	for range either(100, 3000) {
		for _, k := range kinds {
			work <- k
		}
	}
	close(work)
	workers.Wait()
	t.Logf("%d cases of %d kinds, %d answered; refused: %v malformed, %v truncated, %v size, %v unsupported, %v amplified, %v no_reply",
		sent.Load(), len(kinds), answered.Load(), refusals(a, "malformed"), refusals(a, "truncated"), refusals(a, "size"),
		refusals(a, "unsupported"), refusals(a, "amplified"), refusals(a, "no_reply"))
	if refusals(a, "malformed") == 0 || answered.Load() == 0 {
		t.Error("nothing was refused or nothing answered: the cases are no test")
	}
	unhurt(t, a)
	b.content()
	bounded(t, a, memory)
}

func refusals(a *harness.Agent, reason string) float64 {
	return a.Metric(refusedFrames, `reason="`+reason+`"`)
}

// unhurt wants an agent that met no defect of its own.
func unhurt(t *testing.T, a *harness.Agent) {
	t.Helper()
	if n := refusals(a, "panic"); n > 0 {
		t.Errorf("%v panics", n)
	}
	if !a.Running() || !a.Ready() {
		t.Error("the agent is not ready any more")
	}
	for _, line := range a.LogLines("level=ERROR") {
		t.Errorf("logged: %s", line)
	}
}

// mutate sends one case on a connection of its own: three times out of four it is damaged. It gives the answers that
// came at once; the answer to a whole request must decode.
func mutate(a *harness.Agent, rnd *rand.Rand, like kmsg.Request) (answers int, err error) {
	req := kmsg.RequestForKey(like.Key())
	req.SetVersion(like.GetVersion())
	fillStruct(rnd, reflect.ValueOf(req).Elem(), 0)
	w, err := connect(a)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	frame := w.request(req, 3)
	whole := rnd.IntN(4) == 0
	if !whole {
		frame = damage(rnd, frame)
	}
	w.Write(frame) // an error is the connection closed already
	b, err := w.answerWithin(glance)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "answer of"):
		return 0, fmt.Errorf("%s version %d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	case err != nil:
		return 0, nil
	case whole:
		if _, err := decode(req, b); err != nil {
			return 1, err
		}
	}
	return 1, nil
}

// damage changes a frame: bits, bytes that may be lengths, its end, its length.
func damage(rnd *rand.Rand, b []byte) []byte {
	switch rnd.IntN(8) {
	case 0: // cut, with a length that knows
		return framed(b[4 : 4+rnd.IntN(len(b)-3)])
	case 1: // cut, with a length that does not
		return b[:rnd.IntN(len(b))]
	case 2: // more behind its end
		return framed(append(b[4:], randomBytes(rnd, 1+rnd.IntN(64))...))
	case 3: // no meaning behind the header
		return framed(append(b[4:min(len(b), 14)], randomBytes(rnd, rnd.IntN(512))...))
	case 4: // a length or count that lies
		at := 4 + rnd.IntN(len(b)-4)
		for i := range min(4, len(b)-at) {
			b[at+i] = []byte{0xff, 0x7f, 0x80, 0}[rnd.IntN(4)]
		}
		return b
	}
	for range 1 + rnd.IntN(8) {
		b[4+rnd.IntN(len(b)-4)] ^= 1 << rnd.IntN(8)
	}
	return b
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// fillStruct gives the fields of a request values that reach far into its handler.
func fillStruct(rnd *rand.Rand, v reflect.Value, depth int) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch name := field.Name; {
		case name == "Version" || name == "UnknownTags" || !field.IsExported():
		case strings.HasSuffix(name, "Millis"):
			v.Field(i).SetInt(int64(rnd.IntN(30)))
		case name == "Records" && field.Type.Elem().Kind() == reflect.Uint8:
			v.Field(i).SetBytes(batchOf(recordbatch.Record{Key: []byte("k"), Value: randomBytes(rnd, rnd.IntN(200))}))
		default:
			fillValue(rnd, v.Field(i), depth)
		}
	}
}

func fillValue(rnd *rand.Rand, v reflect.Value, depth int) {
	words := []string{"mutant", "mutant", "group-1", "group-2", "range", "consumer", "member", "", "x"}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 0, 0, 1, 1, 2, 3, -1, -1, -2, 100}[rnd.IntN(11)])
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(rnd.IntN(3)))
	case reflect.Float64:
		v.SetFloat(rnd.Float64())
	case reflect.String:
		v.SetString(words[rnd.IntN(len(words))])
	case reflect.Pointer:
		if rnd.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillValue(rnd, v.Elem(), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rnd.IntN(256)))
		}
	case reflect.Slice:
		n := rnd.IntN(4)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(randomBytes(rnd, rnd.IntN(40)))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fillValue(rnd, v.Index(i), depth+1)
		}
	case reflect.Struct:
		fillStruct(rnd, v, depth+1)
	}
}

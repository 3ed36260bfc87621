package group

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSubscription_ReadsAConsumersTopics(t *testing.T) {
	for version := range int16(4) {
		m := kmsg.NewConsumerMemberMetadata()
		m.Version = version
		m.Topics = []string{"a", "bb"}
		m.UserData = []byte("x")
		got, ok := subscription(m.AppendTo(nil))
		if !ok || !slices.Equal(got, m.Topics) {
			t.Errorf("version %d: %v, %v, want %v", version, got, ok, m.Topics)
		}
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add(consumerMetadata([]string{"a", "bb"}))
	f.Add([]byte{0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if topics, ok := subscription(b); ok && len(topics) > len(b)/2 {
			t.Errorf("%d topics out of %d bytes", len(topics), len(b))
		}
	})
}

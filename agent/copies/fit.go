package copies

import (
	"fmt"

	"github.com/odradek/odradek/metadata"
)

// fit gives the live ones of copies, if they are exactly those that the head was written behind.
func fit(h head, copies []metadata.Copy) ([]Entry, error) {
	var entries []Entry
	var digest uint64
	for _, c := range copies {
		if c.Position > h.position {
			return nil, fmt.Errorf("%w: one stands at %d, the head at %d", errUnfit, c.Position, h.position)
		}
		if len(c.Value) == 0 {
			continue
		}
		digest += digestOf(name{c.Kind, c.Key}, c.Value)
		entries = append(entries, Entry{Kind: c.Kind, Key: c.Key, Value: c.Value})
	}
	if uint64(len(entries)) != h.live || digest != h.digest {
		return nil, fmt.Errorf("%w: %d of digest %016x, want %d of %016x", errUnfit, len(entries), digest, h.live, h.digest)
	}
	return entries, nil
}

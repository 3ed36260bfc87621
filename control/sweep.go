package control

import (
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Sweep says that from here on nothing may be swapped in that was planned below Before, so that what is not swapped in
// by now and was planned below it can go (G5). It holds if Before is above the last one's and not above its own number.
type Sweep struct {
	Before topic.Slot
}

func (Sweep) Type() Type { return TypeSweep }

func (r Sweep) String() string { return fmt.Sprintf("of what was planned below %d", r.Before) }

func (r Sweep) encode(w *writer) { w.slot(r.Before) }

func decodeSweep(r *reader) Record { return Sweep{r.slot()} }

func (r Sweep) judge(s *State) string {
	switch {
	case r.Before <= s.swept:
		return fmt.Sprintf("swept below %d already", s.swept)
	case r.Before > s.next:
		return fmt.Sprintf("sweep below %d, own number is %d", r.Before, s.next)
	}
	return ""
}

func (r Sweep) apply(s *State) { s.swept = r.Before }

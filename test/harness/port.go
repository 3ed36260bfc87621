package harness

import (
	"math/rand/v2"
	"sync"
)

// Ports of agents: below 32768, where Linux begins to give ports to outgoing connections.
const (
	lowPort  = 12000
	highPort = 32000
)

var ports struct {
	sync.Mutex
	given map[int]bool
}

// nextPort draws a port that this process has not given out before. Other test processes draw too, so it is random.
func nextPort() int {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	for {
		p := lowPort + rand.IntN(highPort-lowPort)
		if !ports.given[p] {
			ports.given[p] = true
			return p
		}
	}
}

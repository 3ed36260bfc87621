package api

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// Fetch sessions (KIP-227): a client names its partitions once, later requests only what changed, and answers leave
// out partitions without news. The cache is bounded and evicts as Kafka does.
const (
	sessionIdle          = 2 * time.Minute // unused for so long, or smaller and as old: may make room for another
	maxSessionPartitions = 1_000_000       // of all sessions together; above it clients go on without one
	initialEpoch         = 0               // a full request: forget my session, make a new one
	finalEpoch           = -1              // a full request: forget my session, make none
)

// fetchKey names a partition as its session does: by id or by name, never both.
type fetchKey struct {
	id    topic.ID
	name  string
	index int32
}

// fetchPart is a partition of a fetch: what the client asked for last and what it was told last.
type fetchPart struct {
	key          fetchKey
	offset       int64
	maxBytes     int32
	currentEpoch int32

	highWatermark, logStart int64 // -1 before the first answer
}

// session is one client's list of partitions.
type session struct {
	id      int32
	byID    bool // topics are named by id
	created time.Time

	used time.Time // guarded by the cache's mutex
	size int       // guarded by the cache's mutex

	mu    sync.Mutex // guards all below; taken before the cache's mutex
	epoch int32      // expected in the next request
	order []fetchKey // whose turn it is: a partition whose records were sent goes to the end
	parts map[fetchKey]*fetchPart
}

// sessionCache holds the sessions of all connections.
type sessionCache struct {
	limit int
	now   func() time.Time

	mu         sync.Mutex // guards all below
	sessions   map[int32]*session
	partitions int // sum of size
}

func newSessionCache(limit int, now func() time.Time) *sessionCache {
	return &sessionCache{limit: limit, now: now, sessions: map[int32]*session{}}
}

// fetchContext is what one request fetches, in the order to read it.
type fetchContext struct {
	parts   []fetchPart
	session *session // of an incremental fetch, whose answer leaves out what has no news
	create  bool     // a full fetch whose answer may open a session
}

// open finds what a request fetches. The code, when not 0, refuses the whole request.
func (s *sessionCache) open(req *kmsg.FetchRequest) (fetchContext, int16) {
	if req.Version < 7 || req.SessionEpoch == initialEpoch || req.SessionEpoch == finalEpoch {
		if req.SessionID != 0 {
			s.remove(req.SessionID)
		}
		return fetchContext{parts: requestedParts(req), create: req.Version >= 7 && req.SessionEpoch == initialEpoch}, 0
	}
	found := s.get(req.SessionID)
	if found == nil {
		return fetchContext{}, kerr.FetchSessionIDNotFound.Code
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	switch {
	case found.epoch != req.SessionEpoch:
		return fetchContext{}, kerr.InvalidFetchSessionEpoch.Code
	case found.byID != (req.Version >= 13):
		return fetchContext{}, kerr.FetchSessionTopicIDError.Code
	}
	found.update(req)
	found.epoch = nextSessionEpoch(found.epoch)
	s.touch(found, len(found.order))
	fc := fetchContext{session: found, parts: make([]fetchPart, 0, len(found.order))}
	for _, k := range found.order {
		fc.parts = append(fc.parts, *found.parts[k])
	}
	return fc, 0
}

// requestedParts lists the partitions of a request.
func requestedParts(req *kmsg.FetchRequest) []fetchPart {
	var parts []fetchPart
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, p := range t.Partitions {
			parts = append(parts, fetchPart{
				key:    fetchKey{id: t.TopicID, name: t.Topic, index: p.Partition},
				offset: p.FetchOffset, maxBytes: p.PartitionMaxBytes, currentEpoch: p.CurrentLeaderEpoch,
				highWatermark: -1, logStart: -1,
			})
		}
	}
	return parts
}

// update applies what a request adds, changes and forgets. mu is held.
func (s *session) update(req *kmsg.FetchRequest) {
	for _, p := range requestedParts(req) {
		old, ok := s.parts[p.key]
		if !ok {
			s.order = append(s.order, p.key)
			s.parts[p.key] = &p
			continue
		}
		old.offset, old.maxBytes, old.currentEpoch = p.offset, p.maxBytes, p.currentEpoch
	}
	forgot := false
	for _, t := range req.ForgottenTopics {
		for _, index := range t.Partitions {
			delete(s.parts, fetchKey{id: t.TopicID, name: t.Topic, index: index})
			forgot = true
		}
	}
	if forgot {
		s.keep(func(k fetchKey) bool { return s.parts[k] != nil })
	}
}

// keep drops from the order what want does not want. mu is held.
func (s *session) keep(want func(fetchKey) bool) {
	kept := s.order[:0]
	for _, k := range s.order {
		if want(k) {
			kept = append(kept, k)
		}
	}
	s.order = kept
}

// news remembers what is answered and tells which of the answers have news, one for each of fc.parts: records, an
// error, another agent to ask, another high watermark or log start. Partitions that sent records go to the end, so that the next answer
// begins with others.
func (s *session) news(parts []fetchPart, answers []fetched) []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := make([]bool, len(parts))
	moved := map[fetchKey]bool{}
	for i := range parts {
		known := s.parts[parts[i].key]
		a := &answers[i]
		if known == nil {
			continue
		}
		news[i] = a.size > 0 || a.code != 0 || a.preferred != 0 || known.highWatermark != a.highWatermark || known.logStart != a.logStart
		known.highWatermark, known.logStart = a.highWatermark, a.logStart
		if a.code != 0 {
			known.highWatermark = -1 // the end of the error is news too
		}
		if a.size > 0 {
			moved[parts[i].key] = true
		}
	}
	if len(moved) > 0 && len(moved) < len(s.order) {
		var last []fetchKey
		s.keep(func(k fetchKey) bool {
			if moved[k] {
				last = append(last, k)
			}
			return !moved[k]
		})
		s.order = append(s.order, last...)
	}
	return news
}

// create opens a session for what a full fetch answered and gives its id, 0 when there is no room.
func (s *sessionCache) create(parts []fetchPart, answers []fetched, byID bool) int32 {
	if len(parts) == 0 {
		return 0
	}
	now := s.now()
	n := &session{byID: byID, created: now, used: now, epoch: 1, parts: make(map[fetchKey]*fetchPart, len(parts))}
	for i, p := range parts {
		if n.parts[p.key] != nil {
			continue
		}
		p.highWatermark, p.logStart = answers[i].highWatermark, answers[i].logStart
		n.parts[p.key] = &p
		n.order = append(n.order, p.key)
	}
	n.size = len(n.order)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions+n.size > maxSessionPartitions || len(s.sessions) >= s.limit && !s.evict(n.size) {
		return 0
	}
	for n.id == 0 || s.sessions[n.id] != nil {
		n.id = rand.Int32()
	}
	s.sessions[n.id] = n
	s.partitions += n.size
	return n.id
}

// evict makes room for a session of size partitions: the longest unused goes if it was idle for long, else the
// smallest if it is smaller than the new one and old enough. mu is held.
func (s *sessionCache) evict(size int) bool {
	var idlest, smallest *session
	for _, c := range s.sessions {
		if idlest == nil || c.used.Before(idlest.used) {
			idlest = c
		}
		if smallest == nil || c.size < smallest.size {
			smallest = c
		}
	}
	now := s.now()
	switch {
	case idlest == nil:
		return false
	case now.Sub(idlest.used) > sessionIdle:
		s.drop(idlest)
	case smallest.size < size && now.Sub(smallest.created) > sessionIdle:
		s.drop(smallest)
	default:
		return false
	}
	return true
}

func (s *sessionCache) get(id int32) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// touch notes that a session was used and how many partitions it has now. One that is empty goes, and one that grew
// past what all may have together.
func (s *sessionCache) touch(t *session, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[t.id] != t {
		return
	}
	s.partitions += size - t.size
	t.size, t.used = size, s.now()
	if size == 0 || s.partitions > maxSessionPartitions {
		s.drop(t)
	}
}

func (s *sessionCache) remove(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.sessions[id]; t != nil {
		s.drop(t)
	}
}

// drop forgets a session. mu is held.
func (s *sessionCache) drop(t *session) {
	delete(s.sessions, t.id)
	s.partitions -= t.size
}

func nextSessionEpoch(epoch int32) int32 {
	if epoch == 1<<31-1 {
		return 1
	}
	return epoch + 1
}

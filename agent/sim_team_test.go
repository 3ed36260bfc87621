package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	simTeamParts  = 4               // partitions that a team shares, of simTopic
	simRebalance  = 5 * time.Second // that a member has to join again
	simBeat       = 2 * time.Second // between two heartbeats
	simJoinAnswer = simRebalance + 4*time.Second
)

// simTeam is a consumer group with members (the classic protocol), and what they were told.
type simTeam struct {
	p       *simPool
	group   string
	session time.Duration // of its members
	restive bool          // members leave and come back

	mu          sync.Mutex // guards all below
	generations map[int32]*simGeneration
	highest     int32     // generation in which a member was given its assignment
	stirred     time.Time // when somebody last asked to join or to leave, left, or was told that he did not join
	stirring    int       // of those who asked and were not told yet
	acked       [simTeamParts]simMark
	tried       [simTeamParts]simMark
}

// simGeneration is one generation of a team.
type simGeneration struct {
	nonce   string          // of the one assignment that it has
	members int             // as its leader was told
	synced  map[string]bool // by client: a static member may come back under another id
	owners  [simTeamParts]string
	formed  time.Time // when the first of its members was told that it joined
	settled time.Time // when the last of its members had its assignment
}

// simMark is a committed offset: what a later generation commits comes after what an earlier one did.
type simMark struct {
	generation int32
	offset     topic.Offset
}

func (m simMark) compare(o simMark) int {
	return cmp.Or(cmp.Compare(m.generation, o.generation), cmp.Compare(m.offset, o.offset))
}

// teams makes a seed's teams, and gives their members: one team that changes, and one that nobody leaves.
func (p *simPool) teams() (out []simClient) {
	for i, t := range []*simTeam{
		{p: p, group: "restive", session: 6 * time.Second, restive: true},
		{p: p, group: "steady", session: 45 * time.Second},
	} {
		t.generations = make(map[int32]*simGeneration)
		for k := range 3 - i {
			m := &simMember{team: t, r: p.draws(fmt.Sprintf("member %d of %s", k, t.group)), client: fmt.Sprintf("%s-%d", t.group, k)}
			if k == 1 {
				m.instance = m.client
			}
			p.book.mates = append(p.book.mates, m)
			out = append(out, m)
		}
	}
	return out
}

// simMember is a member of a team. It stays with the coordinator that it found as long as that answers.
type simMember struct {
	team     *simTeam
	r        *rand.Rand
	client   string
	instance string // of a static member

	at         *simProcess // the coordinator
	id         string
	joined     bool
	owns       []int32
	next       [simTeamParts]topic.Offset
	generation int32                  // that it has its assignment of; team.mu guards this against others, and what follows
	heard      map[*session]time.Time // when it sent the last heartbeat that this session looked at
}

func (c *simMember) work(ctx context.Context) {
	for ctx.Err() == nil {
		c.turn(ctx)
		rest(ctx, c.r, simBeat)
	}
}

// turn is what a consumer does in a second. It says whether all went well.
func (c *simMember) turn(ctx context.Context) bool {
	if c.at == nil && !c.find(ctx) {
		return false
	}
	switch {
	case !c.joined:
		return c.join(ctx)
	case c.team.restive && c.r.IntN(60) == 0:
		c.leave(ctx)
		return false
	case !c.beat(ctx):
		return false
	}
	return c.r.IntN(2) == 0 || c.commit(ctx)
}

// find asks some agent for the coordinator.
func (c *simMember) find(ctx context.Context) bool {
	xs := c.team.p.serving()
	if len(xs) == 0 {
		return false
	}
	xs[c.r.IntN(len(xs))].ask(ctx, func(s *session) {
		if j, ok := coordinatorOf(s.cluster.State(), c.team.group); ok {
			c.at = c.team.p.with(j)
		}
	})
	return c.at != nil
}

// ask calls the coordinator, which is lost if nothing comes back. Who is answered knows by whom.
func (c *simMember) ask(ctx context.Context, most time.Duration, fn func(context.Context, *session) error) (by *session, err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	x := c.at
	answered := x.ask(ctx, func(s *session) {
		by = s
		err = fn(ctx, s)
	})
	if !answered || ctx.Err() != nil || c.r.Float64() < simLost {
		c.at = nil
		return nil, errNoAnswer
	}
	if errors.Is(err, group.ErrNotCoordinator) || errors.Is(err, group.ErrLoadInProgress) {
		c.at = nil
	}
	return by, err
}

var errNoAnswer = errors.New("no answer")

// join joins the group and asks for the assignment.
func (c *simMember) join(ctx context.Context) bool {
	t := c.team
	var told group.JoinReply
	answered := t.stir()
	_, err := c.ask(ctx, simJoinAnswer, func(ctx context.Context, s *session) error {
		r, err := s.groups.Join(ctx, group.JoinRequest{
			Group: t.group, MemberID: c.id, InstanceID: c.instance, ClientID: c.client, ClientHost: "/",
			SessionTimeout: t.session, RebalanceTimeout: simRebalance, ProtocolType: "consumer",
			Protocols:       []group.Protocol{{Name: "range", Metadata: []byte("\x00\x00\x00\x00\x00\x01\x00\x01" + simTopic + "\xff\xff\xff\xff")}},
			RequireMemberID: true, Unique: fmt.Sprintf("%016x", c.r.Uint64()),
		}).Wait(ctx)
		told = r
		return either(err, r.Err)
	})
	if err != nil {
		told.Generation = 0
	}
	answered(told.Generation)
	switch {
	case errors.Is(err, group.ErrMemberIDRequired):
		c.id = told.MemberID
		return false
	case errors.Is(err, group.ErrUnknownMember):
		c.id = ""
		return false
	case err != nil:
		return false
	}
	c.id = told.MemberID
	return c.sync(ctx, told)
}

func (c *simMember) sync(ctx context.Context, j group.JoinReply) bool {
	t := c.team
	least := t.known()
	var told group.SyncReply
	r := group.SyncRequest{
		Group: t.group, MemberID: c.id, InstanceID: c.instance, Generation: j.Generation, ProtocolType: &j.ProtocolType, Protocol: &j.Protocol,
	}
	if j.Leader == c.id {
		r.Assignments = c.share(j.Members)
	}
	sent := time.Now()
	by, err := c.ask(ctx, simJoinAnswer, func(ctx context.Context, s *session) error {
		var err error
		told, err = s.groups.Sync(ctx, r).Wait(ctx)
		return either(err, told.Err)
	})
	if err != nil {
		if errors.Is(err, group.ErrUnknownMember) {
			c.id = ""
		}
		return false
	}
	c.joined = true
	c.owns = t.given(c, by, sent, least, j, string(told.Assignment))
	return c.resume(ctx)
}

// share gives every partition to one of the members.
func (c *simMember) share(members []group.JoinedMember) []group.Assignment {
	out := make([]group.Assignment, len(members))
	nonce := fmt.Sprintf("%016x %d", c.r.Uint64(), len(members))
	for i, m := range members {
		out[i].MemberID = m.ID
		text := nonce
		for p := i; p < simTeamParts; p += len(members) {
			text += " " + strconv.Itoa(p)
		}
		out[i].Bytes = []byte(text)
	}
	return out
}

// lost is told what the coordinator says instead of yes, and judges whether it may.
func (c *simMember) lost(by *session, err error) {
	switch {
	case errors.Is(err, group.ErrUnknownMember), errors.Is(err, group.ErrIllegalGeneration), errors.Is(err, group.ErrRebalanceInProgress),
		errors.Is(err, group.ErrFencedInstance), errors.Is(err, group.ErrGroupNotFound):
		c.team.judge(c, by, err)
		c.joined = false
		if errors.Is(err, group.ErrUnknownMember) || errors.Is(err, group.ErrFencedInstance) {
			c.id = ""
		}
	}
}

func (c *simMember) beat(ctx context.Context) bool {
	sent, looked := time.Now(), false
	by, err := c.ask(ctx, simTimeout, func(ctx context.Context, s *session) error {
		looked = !c.loading(ctx, s)
		r, err := s.groups.Heartbeat(ctx, group.HeartbeatRequest{
			Group: c.team.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation,
		}).Wait(ctx)
		return either(err, r.Err)
	})
	if err != nil {
		c.lost(by, err)
		return false
	}
	c.team.mu.Lock()
	defer c.team.mu.Unlock()
	if looked {
		c.heard[by] = sent
	}
	return true
}

// loading says whether a session's coordinator reads its log still: it answers heartbeats without a look then.
func (c *simMember) loading(ctx context.Context, s *session) bool {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := s.groups.Describe(ctx, group.DescribeRequest{Group: c.team.group}).Look(ended)
	return errors.Is(err, group.ErrLoadInProgress)
}

// commit commits a rising offset for one of the member's partitions, under its generation.
func (c *simMember) commit(ctx context.Context) bool {
	if len(c.owns) == 0 {
		return true
	}
	t, i := c.team, c.owns[c.r.IntN(len(c.owns))]
	c.next[i]++
	m := simMark{c.generation, c.next[i]}
	t.trying(i, m)
	by, err := c.ask(ctx, simTimeout, func(ctx context.Context, s *session) error {
		r, err := s.groups.Commit(ctx, group.CommitRequest{
			Group: t.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation,
			Offsets: []group.CommitOffset{{
				TopicPartition: group.TopicPartition{Topic: simTopic, Partition: i}, Offset: m.offset, LeaderEpoch: -1,
				Metadata: strconv.Itoa(int(m.generation)),
			}},
		}).Wait(ctx)
		if err = either(err, r.Err); err == nil {
			err = r.Errs[0]
		}
		return err
	})
	if err != nil {
		c.lost(by, err)
		return false
	}
	t.committed(i, m)
	return true
}

// resume reads where the member's partitions stand.
func (c *simMember) resume(ctx context.Context) bool {
	t := c.team
	for _, i := range c.owns {
		least := t.mark(i)
		var found group.CommittedOffset
		_, err := c.ask(ctx, simTimeout, func(ctx context.Context, s *session) error {
			r, err := s.groups.Fetch(ctx, group.FetchRequest{
				Group: t.group, Parts: []group.TopicPartition{{Topic: simTopic, Partition: i}},
			}).Wait(ctx)
			if err = either(err, r.Err); err == nil {
				found = r.Offsets[0]
			}
			return err
		})
		if err != nil {
			c.joined = false // it would begin at a wrong place
			return false
		}
		c.next[i] = t.resumed(c, i, least, found)
	}
	return true
}

func (c *simMember) leave(ctx context.Context) {
	t := c.team
	answered := t.stir()
	who := group.LeavingMember{MemberID: c.id, InstanceID: c.instance}
	_, _ = c.ask(ctx, simTimeout, func(ctx context.Context, s *session) error {
		r, err := s.groups.Leave(ctx, group.LeaveRequest{Group: t.group, Members: []group.LeavingMember{who}}).Wait(ctx)
		return either(err, r.Err)
	})
	answered(0)
	c.joined, c.id = false, ""
	rest(ctx, c.r, 10*time.Second)
}

// settle waits until every member of the team has its part in one generation, and this one commits.
func (c *simMember) settle(ctx context.Context) bool {
	mates := c.team.p.book.members(c.team)
	if c != mates[0] {
		return true // with the first one
	}
	c.team.restive = false
	var wg sync.WaitGroup
	done, stop := context.WithCancel(ctx)
	defer stop()
	for _, m := range mates {
		wg.Go(func() {
			for done.Err() == nil {
				if m.turn(done) && m.joined && c.team.whole() {
					stop()
				}
				rest(done, m.r, simBeat/4)
			}
		})
	}
	wg.Wait()
	return ctx.Err() == nil
}

// whole says whether all members have their part in the newest generation.
func (t *simTeam) whole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.generations[t.highest]
	for _, m := range t.p.book.members(t) {
		if m.generation != t.highest {
			return false
		}
	}
	return !g.settled.IsZero() && !slices.Contains(g.owners[:], "")
}

func either(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// stir notes that somebody asks to join or leave now. told is for when that is answered or given up: with the generation
// that he joined, or 0.
func (t *simTeam) stir() (told func(generation int32)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stirred = time.Now()
	t.stirring++
	return func(generation int32) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stirring--
		if generation == 0 {
			t.stirred = time.Now()
			return
		}
		if g := t.of(generation); g.formed.IsZero() {
			g.formed = time.Now()
		}
	}
}

// of gives what is known of a generation. The lock is held.
func (t *simTeam) of(generation int32) *simGeneration {
	g := t.generations[generation]
	if g == nil {
		g = &simGeneration{synced: make(map[string]bool)}
		t.generations[generation] = g
	}
	return g
}

func (t *simTeam) known() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.highest
}

// given judges an assignment: a generation has one, in which each partition is one member's, and none comes after a later
// one.
func (t *simTeam) given(c *simMember, by *session, sent time.Time, least int32, j group.JoinReply, text string) (owns []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := j.Generation
	c.generation, c.heard = n, map[*session]time.Time{by: sent}
	if n < least {
		t.p.wrong("%s is given generation %d of %s, which was at %d", c.client, n, t.group, least)
	}
	t.highest = max(t.highest, n)
	g := t.of(n)
	g.synced[c.client] = true
	words := strings.Fields(text)
	if len(words) < 2 {
		t.p.wrong("%s has no part in the assignment of generation %d of %s: %q", c.client, n, t.group, text)
		return nil
	}
	if g.nonce == "" {
		g.nonce = words[0]
	}
	if g.nonce != words[0] {
		t.p.wrong("generation %d of %s has two assignments", n, t.group)
	}
	g.members, _ = strconv.Atoi(words[1])
	for _, w := range words[2:] {
		i, err := strconv.Atoi(w)
		if err != nil {
			t.p.wrong("assignment of %s cannot be read: %q", t.group, text)
			return nil
		}
		if o := g.owners[i]; o != "" && o != c.client {
			t.p.wrong("partition %d belongs to %s and %s in generation %d of %s", i, o, c.client, n, t.group)
		}
		g.owners[i] = c.client
		owns = append(owns, int32(i))
	}
	if len(g.synced) == g.members {
		g.settled = time.Now()
		t.p.book.extra[simGenerations].Add(1)
	}
	return owns
}

func (t *simTeam) trying(i int32, m simMark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.compare(t.tried[i]) > 0 {
		t.tried[i] = m
	}
}

func (t *simTeam) committed(i int32, m simMark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.compare(t.acked[i]) > 0 {
		t.acked[i] = m
	}
	t.p.book.extra[simTeamCommits].Add(1)
}

func (t *simTeam) mark(i int32) simMark {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked[i]
}

// resumed judges a committed offset that was asked for when least was acked (I7), and gives where the member goes on.
func (t *simTeam) resumed(c *simMember, i int32, least simMark, found group.CommittedOffset) topic.Offset {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := simMark{0, found.Offset}
	if found.Offset >= 0 {
		n, err := strconv.Atoi(found.Metadata)
		if err != nil {
			t.p.wrong("%s has committed %d of partition %d with %q", t.group, found.Offset, i, found.Metadata)
		}
		m.generation = int32(n)
	}
	none := found.Offset < 0 && least == simMark{}
	if !none && (m.compare(least) < 0 || m.compare(t.tried[i]) > 0) {
		t.p.wrong("%s hears that %s committed %v of partition %d; acked was %v, the last that was tried %v", c.client, t.group, m, i, least, t.tried[i])
	}
	return max(0, found.Offset)
}

// judge judges a coordinator that tells a member of a settled generation that this is over: somebody came or left, or a
// member was not heard of for a session, by this coordinator or, if that began lately, by the one before it. Else the
// rebalance is needless.
func (t *simTeam) judge(c *simMember, by *session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.generations[c.generation]
	if c.generation < t.highest || g.settled.IsZero() || t.stirred.After(g.formed) || t.stirring > 0 {
		return
	}
	since, before := t.p.assigned(by, t.group)
	here, there := true, time.Since(since) < t.session-time.Second
	for _, m := range t.p.book.members(t) {
		here = here && m.generation == c.generation && m.heardBy(by.journal, t.session-time.Second)
		there = there && m.generation == c.generation && m.heardBy(before, t.session-time.Second)
	}
	if here || there {
		t.p.wrong("%s, member of generation %d of %s, is told: %v; nobody came or left, and all were heard of", c.client, c.generation, t.group, err)
	}
}

// heardBy says whether a journal's coordinator took a heartbeat of the member that was sent within a time.
func (c *simMember) heardBy(journal topic.JournalID, within time.Duration) bool {
	for s, at := range c.heard {
		if s.journal == journal && time.Since(at) < within {
			return true
		}
	}
	return false
}

// members lists a team's.
func (b *simBook) members(t *simTeam) (out []*simMember) {
	for _, m := range b.mates {
		if m.team == t {
			out = append(out, m)
		}
	}
	return out
}

// assigned tells when a journal was given the offsets partition of a group, and by which one; the beginning if it never was
// or that is unknown.
func (p *simPool) assigned(by *session, of string) (since time.Time, from topic.JournalID) {
	s := by.cluster.State()
	t, ok := s.TopicByName(topic.ConsumerOffsets)
	if !ok {
		return p.began, topic.JournalID{}
	}
	a := t.Owner(group.PartitionFor(of, t.Partitions()))
	if a.Journal != by.journal || a.Epoch == 0 {
		return p.began, topic.JournalID{}
	}
	before, _ := s.Journal(a.From)
	key := slotlog.JournalKey(a.From, a.Released)
	if !a.Moved && before != nil {
		key = slotlog.ControlKey(before.SealedAt)
	}
	info, err := p.bucket.Head(context.Background(), key)
	if err != nil {
		return p.began, topic.JournalID{}
	}
	return info.Modified, a.From
}

package shardtest

import (
	"fmt"
	"sync"
	"time"

	"wadm/shard"
	"wadm/shard/ring"
)

// LogChecker reads a ledger in stream order and checks log exclusivity (I1): every
// write was conditional on the latest claim before it, epochs never fall, nothing
// is written under a release, and nobody releases what another holds. Claims that
// were replaced before the checker came are missing from a ledger; what is left
// must still fit between its neighbours.
type LogChecker struct {
	last   map[shard.Key]shard.Head
	epoch  map[shard.Key]uint64 // highest seen
	seq    uint64
	Claims int
	Writes int
}

// NewLogChecker makes a checker that has read nothing.
func NewLogChecker() *LogChecker {
	return &LogChecker{last: map[shard.Key]shard.Head{}, epoch: map[shard.Key]uint64{}}
}

// Claim reads a claim record.
func (c *LogChecker) Claim(h shard.Head) error {
	if err := c.next(h.Seq); err != nil {
		return err
	}
	c.Claims++
	prev, ok := c.last[h.Key]
	if h.Record.State == shard.Released && ok && prev.Record.Incarnation != h.Record.Incarnation {
		return fmt.Errorf("I1: %s: %s released at %d what %s holds", h.Key, h.Record.Incarnation, h.Seq, prev.Record.Incarnation)
	}
	c.last[h.Key] = h
	c.epoch[h.Key] = h.Seq
	return nil
}

// Write reads a command or a state that was conditional on epoch.
func (c *LogChecker) Write(k shard.Key, seq, epoch uint64) error {
	if err := c.next(seq); err != nil {
		return err
	}
	c.Writes++
	h, ok := c.last[k]
	switch {
	case epoch == 0 || epoch >= seq:
		return fmt.Errorf("I1: %s: write %d is not fenced (%d)", k, seq, epoch)
	case epoch < c.epoch[k]:
		return fmt.Errorf("I1: %s: write %d carries epoch %d after %d", k, seq, epoch, c.epoch[k])
	case ok && h.Seq == epoch && h.Record.State != shard.Held:
		return fmt.Errorf("I1: %s: write %d under a release", k, seq)
	}
	c.epoch[k] = epoch
	return nil
}

func (c *LogChecker) next(seq uint64) error {
	if seq <= c.seq {
		return fmt.Errorf("I1: sequence %d after %d", seq, c.seq)
	}
	c.seq = seq
	return nil
}

// Effects stands where the hosts are: it sees what really happens and in which
// order (I2), and for how long nobody acted for a key (I3). Use it from any goroutine.
type Effects struct {
	mu    sync.Mutex
	epoch map[shard.Key]uint64
	stale []string
	total int
	able  map[shard.Key]int
	since map[shard.Key]time.Time // since when nobody is able
	gap   map[shard.Key]time.Duration
}

// NewEffects makes hosts that have seen nothing.
func NewEffects() *Effects {
	return &Effects{
		epoch: map[shard.Key]uint64{}, able: map[shard.Key]int{},
		since: map[shard.Key]time.Time{}, gap: map[shard.Key]time.Duration{},
	}
}

// Effect notes an effect of an owner.
func (e *Effects) Effect(k shard.Key, epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total++
	if epoch < e.epoch[k] {
		e.stale = append(e.stale, fmt.Sprintf("I2: %s: at %s effect of epoch %d after one of %d", k, time.Now().Format("04:05.000"), epoch, e.epoch[k]))
	}
	e.epoch[k] = max(epoch, e.epoch[k])
}

// Begin notes that an owner is able to act for the key from now on; the returned
// function, which may be called again, that it is no longer.
func (e *Effects) Begin(now time.Time, k shard.Key) (end func(now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.able[k]++; e.able[k] == 1 {
		if at, ok := e.since[k]; ok {
			e.gap[k] = max(e.gap[k], now.Sub(at))
			delete(e.since, k)
		}
	}
	var once sync.Once
	return func(now time.Time) {
		once.Do(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.able[k]--; e.able[k] == 0 {
				e.since[k] = now
			}
		})
	}
}

// Stale lists the effects that came after those of a newer epoch.
func (e *Effects) Stale() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.stale...)
}

// Gaps gives the longest time in which nobody was able to act, for each key that
// had such a time, and forgets them: the next call tells of what happened since.
func (e *Effects) Gaps(now time.Time) map[shard.Key]time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.gap
	for k, at := range e.since {
		g[k] = max(g[k], now.Sub(at))
	}
	e.gap = map[shard.Key]time.Duration{}
	return g
}

// CheckCoverage checks I3 at one moment: every key has exactly one living owner.
// owners lists, for each living instance, the keys it acts for.
func CheckCoverage(keys []shard.Key, owners map[shard.MemberID]map[shard.Key]uint64) error {
	for _, k := range keys {
		var by []shard.MemberID
		for id, held := range owners {
			if _, ok := held[k]; ok {
				by = append(by, id)
			}
		}
		if len(by) != 1 {
			return fmt.Errorf("I3: %s is owned by %v", k, by)
		}
	}
	return nil
}

// CheckAgreement checks I7: who follows one view computes one ring.
func CheckAgreement(ss []shard.Status) error {
	digests := map[uint64]shard.Status{}
	for _, s := range ss {
		if s.Digest == 0 {
			continue
		}
		if o, ok := digests[s.View.Rev]; ok && o.Digest != s.Digest {
			return fmt.Errorf("I7: view %d: %s computes %x, %s %x", s.View.Rev, o.Instance, o.Digest, s.Instance, s.Digest)
		}
		digests[s.View.Rev] = s
		if len(s.Disagree) > 0 {
			return fmt.Errorf("I7: %s disagrees with %v", s.Instance, s.Disagree)
		}
	}
	return nil
}

// CheckMovement checks I6 over a history of views: none moves more than it must and
// 2 % of all partitions.
func CheckMovement(views []shard.View) error {
	for i := 1; i < len(views); i++ {
		from, err := views[i-1].Ring()
		if err != nil {
			return err
		}
		to, err := views[i].Ring()
		if err != nil {
			return err
		}
		m, err := ring.Compare(from, to)
		if err != nil {
			return err
		}
		if float64(m.Moved-m.Least) > 0.02*float64(m.Partitions) {
			return fmt.Errorf("I6: view %d (%s) moves %d of %d, least %d", views[i].Rev, views[i].Cause, m.Moved, m.Partitions, m.Least)
		}
	}
	return nil
}

// Herd counts how many of something are under way at once (I8).
type Herd struct {
	mu        sync.Mutex
	now, most int
}

// Enter begins one; the returned function ends it.
func (h *Herd) Enter() func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	h.most = max(h.most, h.now)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.now--
	}
}

// Most gives the highest count there was.
func (h *Herd) Most() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most
}

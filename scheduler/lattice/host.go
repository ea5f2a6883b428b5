package lattice

import (
	"maps"
	"slices"
	"time"
)

const (
	// DefaultHeartbeat is the interval assumed until a host's own is learned, and the
	// most that is believed before the median can bear an outlier.
	DefaultHeartbeat = 30 * time.Second
	// MaxHeartbeat is the longest interval that is believed. A host that speaks less
	// often counts as silent meanwhile and is asked, which it answers.
	MaxHeartbeat = 2 * time.Minute
)

// maxName is the longest name that texts and explanations take from a host, in bytes.
const maxName = 64

// Name is what people call the host; empty if it has no name, or one too long to repeat.
func (h *Host) Name() string {
	if len(h.FriendlyName) > maxName {
		return ""
	}
	return h.FriendlyName
}

// String writes name and id.
func (h *Host) String() string { return h.ID.Called(h.Name()) }

// Host is one host as observed.
type Host struct {
	ID           HostID
	FriendlyName string
	Version      string
	Labels       map[string]string
	// Workloads are the components and providers on the host; it keeps one record of each.
	Workloads map[Workload]*Instance
	// LastSeen is the owner's time of the last sign of life.
	LastSeen time.Time
	// Silent: the host missed a heartbeat or left a request unanswered. It is
	// given no new work until it speaks.
	Silent bool
	// unread: it is known from an earlier owner only, and silent until it has told
	// itself what it runs.
	unread bool
	// Refusals counts consecutive requests that nobody listened to, Refused is when
	// the last one counted was.
	Refusals int
	Refused  time.Time

	// gone keeps the time at which a workload was last seen to be absent.
	gone map[Workload]int64
	// digest is that of the last heartbeat; dirty means that the state has moved
	// on since, so that the next heartbeat is compared in full.
	digest uint64
	dirty  bool
	// Host times in nanoseconds since 1970: start, last inventory, last
	// heartbeat, last labels.
	started, inventory, heartbeat, labelsAt int64
	// told is the newest host time of its events.
	told int64
	// polled is the latest host time at which an inventory that was asked for can
	// have been taken; it was not before inventory.
	polled int64
	// doubted is the host time up to which a list may still be from before polled;
	// asked is the doubted about which the host was asked again.
	doubted, asked int64
	// lag is the smallest seen difference between arrival and event time: an
	// upper bound of the offset between the owner's clock and the host's.
	lag    time.Duration
	hasLag bool
	// lags are those differences of the last heartbeats.
	lags  [5]time.Duration
	nLags int
	// provisional: the times were taken from the owner's clock, because no event
	// had shown the host's yet. They are moved when one does.
	provisional bool
	// gaps are the last gaps between heartbeats, beatSeen is when the last one arrived.
	gaps     [5]time.Duration
	nGaps    int
	beatSeen time.Time
	// pastBeat is the time of a late heartbeat, zero when the last was not, pastSeen
	// when it arrived.
	pastBeat int64
	pastSeen time.Time
}

func newHost(inv Inventory, now time.Time) *Host {
	return &Host{
		ID: inv.Host, FriendlyName: inv.FriendlyName, Version: inv.Version, Labels: nonNil(inv.Labels),
		Workloads: map[Workload]*Instance{}, gone: map[Workload]int64{}, LastSeen: now, dirty: true,
	}
}

// Has tells whether the host carries every one of the labels.
func (h *Host) Has(labels map[string]string) bool { return Carries(h.Labels, labels) }

// Carries tells whether what a host is labelled with includes every one of the labels.
func Carries(have, labels map[string]string) bool {
	for k, v := range labels {
		if x, ok := have[k]; !ok || x != v {
			return false
		}
	}
	return true
}

// Lacks lists the labels that the host does not carry, as key=value, sorted.
func (h *Host) Lacks(labels map[string]string) []string {
	var out []string
	for k, v := range labels {
		if have, ok := h.Labels[k]; !ok || have != v {
			out = append(out, k+"="+v)
		}
	}
	slices.Sort(out)
	return out
}

// seen notes a sign of life.
func (h *Host) seen(now time.Time) {
	h.LastSeen, h.Silent, h.Refusals = now, h.unread, 0
}

// heard notes an event of the host and learns the offset of its clock. A late
// event is no sign of life of now, but it can't be told from a slow one; the
// stream keeps events for about a minute only.
func (h *Host) heard(at int64, now time.Time) {
	h.seen(now)
	h.told = max(h.told, at)
	lag := time.Duration(now.UnixNano() - at)
	if h.provisional {
		h.provisional = false
		h.inventory -= int64(lag)
		// The lag may be nothing but the delay of this event, so where it stands to the
		// inventory is not known.
		h.polled = max(h.polled, at+1)
		h.labelsAt -= int64(lag)
		for _, i := range h.Workloads {
			i.time -= int64(lag)
		}
	}
	if !h.hasLag || lag < h.lag {
		h.lag, h.hasLag = lag, true
	}
}

// minGap separates a heartbeat from the burst in which a busy host delivers the
// ones it missed.
const minGap = 500 * time.Millisecond

func (h *Host) beat(at int64, now time.Time) {
	h.heard(at, now)
	h.lags[h.nLags%len(h.lags)] = time.Duration(now.UnixNano() - at)
	h.nLags++
	// The shorter of the two: the host's clock may jump ahead, and a delay may end. One
	// that is too short costs a question, one that is too long keeps a dead host.
	if gap := min(time.Duration(at-h.heartbeat), now.Sub(h.beatSeen)); h.heartbeat != 0 && gap >= minGap {
		h.gaps[h.nGaps%len(h.gaps)] = gap
		h.nGaps++
	}
	h.heartbeat, h.beatSeen = max(h.heartbeat, at), now
}

// maxDelay is how much longer than its fastest event a heartbeat may have taken
// before the host's clock is suspected. A smaller step back hides nothing for
// longer than to the heartbeat after the next; a smaller bound would have a server
// under load ask all hosts.
const maxDelay = 2 * time.Second

// late tells whether a heartbeat was delayed, or the host's clock was set back.
func (h *Host) late(at int64, now time.Time) bool {
	return at < h.heartbeat || h.hasLag && time.Duration(now.UnixNano()-at)-h.lag > maxDelay
}

// clockMoved tells a host whose clock was set back from a late heartbeat: the
// second late heartbeat in a row, about an interval after the first, starts the
// host's time afresh. (Redelivered ones arrive together.)
func (h *Host) clockMoved(at int64, now time.Time) bool {
	if h.pastBeat == 0 || at <= h.pastBeat || now.Sub(h.pastSeen) < h.Interval()/2 {
		if h.pastBeat == 0 || at <= h.pastBeat {
			h.pastBeat, h.pastSeen = at, now
		}
		return false
	}
	// What is known is not newer than what comes next.
	for _, t := range []*int64{&h.started, &h.inventory, &h.heartbeat, &h.labelsAt, &h.told, &h.polled, &h.doubted} {
		*t = min(*t, at)
	}
	for w, t := range h.gone {
		h.gone[w] = min(t, at)
	}
	for _, i := range h.Workloads {
		i.time, i.updated = min(i.time, at), 0
	}
	h.pastBeat, h.hasLag, h.nLags, h.dirty = 0, false, 0, true
	return true
}

// Told is the newest host time of what the host has told by itself, in nanoseconds
// since 1970. An answer to a question that comes after it is newer.
func (h *Host) Told() int64 { return h.told }

// SetDigest notes that the heartbeat with this digest has been folded in full.
func (h *Host) SetDigest(d uint64) { h.digest = d }

// Interval is the host's heartbeat interval: the median of recent gaps, at most
// DefaultHeartbeat while fewer than three are known and MaxHeartbeat ever.
func (h *Host) Interval() time.Duration {
	n := min(h.nGaps, len(h.gaps))
	if n == 0 {
		return DefaultHeartbeat
	}
	var sorted [len(h.gaps)]time.Duration
	copy(sorted[:], h.gaps[:n])
	slices.Sort(sorted[:n])
	most := MaxHeartbeat
	if n < 3 {
		most = DefaultHeartbeat
	}
	return min(sorted[n/2], most)
}

// HostTime converts a moment of the owner's clock to a lower bound of the host's
// clock at that moment, in nanoseconds since 1970.
func (h *Host) HostTime(t time.Time) int64 {
	if !h.hasLag {
		return t.UnixNano()
	}
	return t.UnixNano() - int64(h.lag)
}

// mostDrift is by how much a clock may have gone back unnoticed; see MayFollow.
const mostDrift = 500 * time.Millisecond

// MayFollow tells whether what the host said at its time at may have come after a
// moment of the owner's clock, even if its clock has gone back a little since its
// fastest event: that shows in all of the last heartbeats, as does a slow network.
func (h *Host) MayFollow(at int64, t time.Time) bool {
	back := time.Duration(0)
	if h.nLags >= len(h.lags) {
		back = min(max(slices.Min(h.lags[:])-h.lag, 0), mostDrift)
	}
	return at > h.HostTime(t)-int64(back)
}

// unordered tells whether an event may be from before or from after the last
// inventory that was asked for. A host that was busy tells both in one burst, and
// the event may come later than the answer, so what it says against the answer is
// a reason to ask again and no more.
func (h *Host) unordered(at int64) bool { return at < h.polled }

// orderSlack is by how much even the fastest event of a host may have been delayed,
// so that its clock is ahead of HostTime.
const orderSlack = time.Second

// polledAt notes when an inventory that was asked for arrived and from when on lists
// are believed again. The question that a doubted list raised opens no new doubt,
// or a host that always has news would be asked without end.
func (h *Host) polledAt(sent, now time.Time) {
	h.polled = h.HostTime(now)
	until := h.polled + int64(orderSlack)
	if h.asked == h.doubted && h.HostTime(sent) < h.doubted {
		until = min(until, h.doubted)
		h.asked = until
	}
	h.doubted = until
}

// doubt tells whether a heartbeat may be from before the last inventory that was
// asked for although its time is later, and says otherwise. ask is true for the
// first such since: the heartbeat after them tells anyway.
func (h *Host) doubt(inv Inventory, at int64) (doubted, ask bool) {
	if at >= h.doubted || h.runs(inv) {
		return false, false
	}
	ask = h.asked != h.doubted
	h.asked = h.doubted
	return true, ask
}

// runs tells whether the list is what is known of the host.
func (h *Host) runs(inv Inventory) bool {
	n := 0
	for _, c := range inv.Components {
		if c.Max == 0 {
			continue
		}
		n++
		have := h.Workloads[ComponentOf(c.ID)]
		if have == nil || have.Image != c.Image || have.Max != c.Max || !maps.Equal(have.Annotations, c.Annotations) {
			return false
		}
	}
	for _, p := range inv.Providers {
		n++
		have := h.Workloads[ProviderOf(p.ID)]
		if have == nil || have.Image != p.Image || !maps.Equal(have.Annotations, p.Annotations) {
			return false
		}
	}
	return n == len(h.Workloads) && maps.Equal(h.Labels, inv.Labels)
}

// factTime is the time of the newest fact about a workload on the host.
func (h *Host) factTime(id Workload) int64 {
	t := h.inventory
	if i := h.Workloads[id]; i != nil {
		t = max(t, i.time)
	}
	return max(t, h.gone[id])
}

// Inventory lists what the host is known to run, sorted by id.
func (h *Host) Inventory() Inventory {
	inv := Inventory{Host: h.ID, FriendlyName: h.FriendlyName, Labels: h.Labels, Version: h.Version}
	for _, w := range slices.SortedFunc(maps.Keys(h.Workloads), Workload.Compare) {
		i := h.Workloads[w]
		if w.Provider {
			inv.Providers = append(inv.Providers, Provider{ID: w.ID, Image: i.Image, Annotations: i.Annotations, Health: i.Health})
		} else {
			inv.Components = append(inv.Components, Component{ID: w.ID, Image: i.Image, Annotations: i.Annotations, Max: i.Max})
		}
	}
	return inv
}

package simhost

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nkeys"

	"wadm/scheduler/lattice"
)

var (
	adjectives = []string{"amber", "brisk", "calm", "dusty", "early", "fancy", "gentle", "hollow", "icy", "jolly", "keen", "lively", "mellow", "noble", "odd", "plain", "quiet", "rusty", "silent", "tidy"}
	nouns      = []string{"anchor", "bridge", "canyon", "delta", "ember", "fjord", "garden", "harbor", "island", "jungle", "kettle", "lantern", "meadow", "nebula", "orchard", "pebble", "quarry", "ridge", "spring", "thicket"}
)

func friendlyName(r *rand.Rand) string {
	return fmt.Sprintf("%s-%s-%04d", adjectives[r.IntN(len(adjectives))], nouns[r.IntN(len(nouns))], r.IntN(10000))
}

// hostID makes a server key and forgets its private half.
func hostID(r *rand.Rand) (lattice.HostID, error) {
	var raw [32]byte
	for i := 0; i < len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], r.Uint64())
	}
	kp, err := nkeys.FromRawSeed(nkeys.PrefixByteServer, raw[:])
	if err != nil {
		return "", fmt.Errorf("make host key: %w", err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		return "", fmt.Errorf("make host key: %w", err)
	}
	return lattice.HostID(pub), nil
}

// appendEventID appends a ULID of the millisecond of t in the dress of a UUID.
func appendEventID(b []byte, t time.Time, r *rand.Rand) []byte {
	var id [16]byte
	ms := uint64(t.UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16|r.Uint64()&0xffff)
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

// appendUptime appends whole seconds the way hosts speak of them: "2days 3h 1s".
func appendUptime(b []byte, seconds int64) []byte {
	if seconds == 0 {
		return append(b, "0s"...)
	}
	first := true
	for _, u := range [...]struct {
		seconds   int64
		one, many string
	}{
		{31_557_600, "year", "years"}, {2_630_016, "month", "months"}, {86_400, "day", "days"},
		{3600, "h", "h"}, {60, "m", "m"}, {1, "s", "s"},
	} {
		n := seconds / u.seconds
		seconds %= u.seconds
		if n == 0 {
			continue
		}
		if !first {
			b = append(b, ' ')
		}
		first = false
		unit := u.many
		if n == 1 {
			unit = u.one
		}
		b = fmt.Appendf(b, "%d%s", n, unit)
	}
	return b
}

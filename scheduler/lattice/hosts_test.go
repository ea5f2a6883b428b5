package lattice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"wadm/scheduler/lattice"
)

// TestAHostThatNoCommandCouldReachIsNoHost: its id would have to be a token of
// a subject.
func TestAHostThatNoCommandCouldReachIsNoHost(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"NAEXGHMLDVWEXZJXBZSA4YQMMJHIP65LT24DV6JQ3X4EZASNYNHVOEDE": true, "h-1_a": true,
		"bad host": false, "a.b": false, "*": false, ">": false, "ü": false, "a\u0000b": false, strings.Repeat("a", 257): false,
	} {
		_, err := lattice.DecodeEvent(fmt.Appendf(nil, `{"specversion":"1.0","id":"1","type":"com.wasmcloud.lattice.host_started","source":%q,
			"time":"2026-01-01T00:00:00Z","data":{"labels":{},"friendly_name":"x","version":"1.9.2"}}`, id))
		if (err == nil) != want || err != nil && !errors.Is(err, lattice.ErrNotEvent) {
			t.Errorf("host %.20q: %v", id, err)
		}
	}
}

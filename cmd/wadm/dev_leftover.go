package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"wadm/config/natsconn"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/telemetry"
)

// tellLeftOver says what the servers are about to wait for in a folder whose last
// session had no time to give its lattices up. It must be asked before they start.
func (o devOptions) tellLeftOver(ctx context.Context, nc *natsconn.Conn, log *slog.Logger, view *devView) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var heads map[shard.Key]shard.Head
	observer, err := natskv.NewObserver(nc.Conn, natskv.Config{})
	if err == nil {
		heads, err = observer.Claims(ctx)
	}
	switch {
	case errors.Is(err, natskv.ErrAbsent):
	case err != nil:
		log.Warn("what the last session has left is not known", telemetry.LogError, err)
	default:
		if text := leftOver(heads, o.instanceNames()); text != "" {
			view.happen(happening{kind: "server", text: text})
		}
	}
}

// leftOver tells what servers of these names will wait for, and for how long at most;
// empty: for nothing, as every lattice was given up.
func leftOver(heads map[shard.Key]shard.Head, names []string) string {
	lattices := 0
	owners := map[string]bool{}
	for _, h := range heads {
		if !h.Bad && h.Record.State == shard.Held {
			lattices++
			owners[string(h.Record.Owner)] = true
		}
	}
	if lattices == 0 {
		return ""
	}
	sorted := slices.Sorted(maps.Keys(owners))
	who := strings.Join(sorted, ", ")
	fleet := shard.FleetConfig{}.WithDefaults()
	// What is between two steps, such as finding who is silent and agreeing on a view,
	// takes less than a suspicion.
	limit := fleet.Roster.Suspect + fleet.Holdings.Quarantine
	why := "commands of " + who + " may still arrive"
	if slices.ContainsFunc(sorted, func(owner string) bool { return !slices.Contains(names, owner) }) {
		// Nobody starts again under that name, which would tell at once that the old
		// life is over.
		limit += natskv.Config{}.WithDefaults().MemberTTL
		why = who + " may count as living until their records expire"
	}
	return fmt.Sprintf("waits %s at most before it acts for %d lattice(s): the last session was killed, and %s",
		(limit + time.Second - 1).Truncate(time.Second), lattices, why)
}

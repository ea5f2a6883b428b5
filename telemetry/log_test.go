package telemetry_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"wadm/telemetry"
)

// TestDurationsCarryAUnit in both forms of the log, in groups too.
func TestDurationsCarryAUnit(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l, err := telemetry.NewLogger(&log, telemetry.LogConfig{JSON: true})
	if err != nil {
		t.Fatal(err)
	}
	l.With("of", time.Minute).WithGroup("try").Info("late", "again_in", 1500*time.Millisecond)
	var line struct {
		Of  string
		Try struct {
			AgainIn string `json:"again_in"`
		}
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Of != "1m0s" || line.Try.AgainIn != "1.5s" {
		t.Errorf("%v: %s", err, log.String())
	}
}

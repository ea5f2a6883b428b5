package simhost

// Beat sends a heartbeat out of turn.
func (h *Host) Beat() {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	h.late++
	h.flushBeats()
}

// Doing counts the requests that are not done yet.
func (h *Host) Doing() int {
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	return len(h.doing)
}

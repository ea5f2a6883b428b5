package simhost

// Beat sends a heartbeat out of turn.
func (h *Host) Beat() {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	h.late++
	h.flushBeats()
}

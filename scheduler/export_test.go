package scheduler

// Remembered is of how many lattices panics are remembered.
func Remembered(s *Scheduler) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.panics)
}

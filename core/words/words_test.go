package words

import "testing"

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{-0.0001: "0.00", 1.005: "1.00", -2: "-2.00"} {
		if got := Number(v, 2); got != want {
			t.Errorf("number(%v): %q, want %q", v, got, want)
		}
	}
}

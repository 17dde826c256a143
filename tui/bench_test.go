package tui

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// large is 16 hosts of 32 primaries with mirrors: 1,026 nodes.
func large() source.FakeOptions {
	return source.FakeOptions{Seed: 3, Hosts: 16, SegmentsPerHost: 32, Loads: 8, Sessions: 200, Events: 500}
}

// The gates count memory, which does not depend on the machine. They are not
// parallel: AllocsPerRun counts the whole process.
func TestFrameAllocations(t *testing.T) {
	for view := 1; view <= viewCount; view++ {
		b := newDash(t, 200, 50, large(), func(o *Options) { o.View = view })
		b.tick(3)
		b.frame()
		n := testing.AllocsPerRun(20, func() {
			b.app.dirty = true
			b.app.View()
		})
		t.Logf("view %d at 200x50 with %d nodes: %.0f allocations", view, len(b.app.snap.Nodes.Items), n)
		if n > 1200 {
			t.Errorf("view %d costs %.0f allocations a frame, the gate is 1200", view, n)
		}
	}
}

func TestFrameIsCached(t *testing.T) {
	b := newDash(t, 80, 24, usual(), nil)
	b.tick(2)
	b.frame()
	if n := testing.AllocsPerRun(10, func() { b.app.View() }); n > 4 {
		t.Errorf("a frame that has not changed costs %.0f allocations", n)
	}
}

// Moving through many rows must not depend on how many there are.
func TestScrollAllocations(t *testing.T) {
	small, big := scrollDash(t, 1000), scrollDash(t, 100_000)
	step := func(b *dash) float64 {
		return testing.AllocsPerRun(20, func() {
			b.app.Update(key("j"))
			b.app.View()
		})
	}
	few, many := step(small), step(big)
	t.Logf("a step and a frame: %.0f allocations with 1,000 rows, %.0f with 100,000", few, many)
	if many > few+50 {
		t.Errorf("a step costs %.0f allocations with 100,000 rows and %.0f with 1,000", many, few)
	}
}

func scrollDash(t testing.TB, rows int) *dash {
	t.Helper()
	b := newDash(t, 200, 50, source.FakeOptions{Seed: 1, Hosts: 2, SegmentsPerHost: 1, Sessions: rows}, func(o *Options) { o.View = 5 })
	b.tick(2)
	b.frame()
	return b
}

func BenchmarkFrame(b *testing.B) {
	for _, size := range [][2]int{{80, 24}, {200, 50}, {400, 100}} {
		for view := 1; view <= viewCount; view++ {
			b.Run(fmt.Sprintf("%dx%d/%d", size[0], size[1], view), func(b *testing.B) {
				d := newDash(b, size[0], size[1], large(), func(o *Options) { o.View = view })
				d.tick(3)
				b.ReportAllocs()
				for b.Loop() {
					d.app.dirty = true
					d.app.View()
				}
			})
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	d := newDash(b, 200, 50, large(), func(o *Options) { o.View = 2 })
	d.tick(3)
	s := d.fake.Next()
	b.ReportAllocs()
	for b.Loop() {
		d.app.show(s)
		d.app.View()
	}
}

func BenchmarkFilterSort(b *testing.B) {
	for _, rows := range []int{1026, 10_000, 100_000} {
		for _, text := range []string{"update", "user:^(etl|report)$"} {
			b.Run(fmt.Sprintf("%d/%s", rows, text[:4]), func(b *testing.B) {
				d := scrollDash(b, rows)
				if err := d.app.sess.setFilter(&d.app.c, text); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					d.app.sess.rebuild(&d.app.c)
				}
			})
		}
	}
}

func BenchmarkScroll100000(b *testing.B) {
	d := scrollDash(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		d.app.Update(key("j"))
		d.app.View()
	}
}

func BenchmarkIdleMessage(b *testing.B) {
	d := newDash(b, 200, 50, large(), nil)
	d.tick(3)
	d.app.got = d.now.Add(time.Hour)
	for b.Loop() {
		d.app.Update(tea.FocusMsg{})
		d.app.View()
	}
}

package definitions

import "testing"

func TestExpand(t *testing.T) {
	s := Specifiers{'a': "x86-64", 'M': "", 'A': "5%t"}
	for _, c := range []struct{ text, want, wrong string }{
		{text: "", want: ""},
		{text: "root", want: "root"},
		{text: "root-%a", want: "root-x86-64"},
		{text: "%a%a", want: "x86-64x86-64"},
		{text: "größe-%a-größe", want: "größe-x86-64-größe"},
		{text: "[%M]", want: "[]"},
		{text: "%%a", want: "%a"},
		{text: "%%%%", want: "%%"},
		{text: "%A", want: "5%t"},
		{text: "%b", wrong: `has specifier "%b", which is not available here`},
		{text: "%q", wrong: `has unknown specifier "%q" (write "%%" for a percent sign)`},
		{text: "%t", wrong: `has unknown specifier "%t" (write "%%" for a percent sign)`},
		{text: "%ü", wrong: `has unknown specifier "%ü" (write "%%" for a percent sign)`},
		{text: "100%", wrong: `ends in a lone "%" (write "%%" for a percent sign)`},
		{text: "%%%", wrong: `ends in a lone "%" (write "%%" for a percent sign)`},
	} {
		got, err := s.Expand(c.text)
		switch {
		case err != nil && err.Error() != c.wrong:
			t.Errorf("%q: error %q, want %q", c.text, err, c.wrong)
		case err == nil && c.wrong != "":
			t.Errorf("%q: got %q, want error %q", c.text, got, c.wrong)
		case got != c.want:
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := keyNames("partition")
	for word, want := range map[string]string{
		"size_min": "size_min", "SizeMinBytes": "size_min", "size-max": "size_max", "Size Max": "size_max",
		"szie_min": "size_min", "sizemin": "size_min", "wieght": "weight", "lable": "label", "readonly": "read_only",
		"MountPoint": "mount_point", "growfilesystem": "grow_file_system", "x": "", "": "", "colour": "", "größe": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"label", "label", 0}, {"lable", "label", 1},
		{"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abc", "ca", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q it is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestExpandTwice: what one expansion keeps, a second one fills in, and nothing that
// the first one brought is taken for a specifier.
func TestExpandTwice(t *testing.T) {
	first, err := Specifiers{'a': "x86-64", 'M': "50%t"}.keeping("tU").Expand("%a-%t-%%-%M-%U")
	if err != nil {
		t.Fatal(err)
	}
	second, err := Specifiers{'t': "root", 'U': "0123"}.Expand(first)
	if want := "x86-64-root-%-50%t-0123"; err != nil || second != want {
		t.Errorf("%q, %v, want %q", second, err, want)
	}
}

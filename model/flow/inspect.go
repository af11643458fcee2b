package flow

import (
	"errors"
	"io/fs"
	"os"

	"focusnfix/model/backbone"
	"focusnfix/model/sd"
	"focusnfix/model/weights"
)

// networks are the parts of both families that have weights, the larger ones of a text encoder's name where they differ.
var networks = []string{transformer, vaePart, "text_encoder", "text_encoder_2", t5Part}

// Inspect says what a model is and what would be used of it. A single file without o.Config tells only what is in it. With
// every, all weights are read in search of NaN and infinity.
func Inspect(path string, o backbone.LoadOptions, every bool) (backbone.Facts, error) {
	f := backbone.Facts{Layout: backbone.FolderLayout, Prediction: "velocity", Odd: []string{}}
	if info, err := os.Stat(path); err == nil && !info.IsDir() && o.Config == "" {
		return f, inspectAlone(&f, path, every)
	}
	from, err := openFiles(path, o)
	if err != nil {
		return f, err
	}
	if from.single != nil {
		f.Layout = backbone.SingleLayout
	}
	family, err := familyOf(path, from, o)
	if err == nil {
		err = readFacts(&f, from, family)
	}
	if err == nil {
		err = countParts(&f, from, every)
	}
	if _, isSD3 := family.(*sd3); isSD3 && !from.has(t5Part) {
		f.Odd = append(f.Odd, "no "+t5Part+": prompts are read by the two CLIPs alone")
	}
	return f, errors.Join(err, from.close())
}

// countParts counts the weights of all parts that are there; transformer and autoencoder must be.
func countParts(f *backbone.Facts, from files, every bool) error {
	for _, part := range networks {
		if part != transformer && part != vaePart && !from.has(part) {
			continue
		}
		name, tensors, done, err := from.open(part)
		if err != nil {
			f.Odd = append(f.Odd, err.Error())
			continue
		}
		f.Add(part, name, tensors, every)
		if err := done(); err != nil {
			return err
		}
	}
	return nil
}

// inspectAlone counts what is in a single file.
func inspectAlone(f *backbone.Facts, path string, every bool) error {
	file, err := weights.Open(path)
	if err != nil {
		return err
	}
	split, err := weights.SplitTransformer(file)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.Kind, f.Layout, f.Pipeline = string(split.Kind), backbone.SingleLayout, pipelineOf[split.Kind]
	for _, part := range networks {
		if tensors := split.Parts[part]; len(tensors) > 0 {
			f.Add(part, path, tensors, every)
		}
	}
	for _, key := range split.Unknown {
		f.Odd = append(f.Odd, path+": no use for "+key)
	}
	return file.Close()
}

// readFacts fills what the configurations say.
func readFacts(f *backbone.Facts, from files, family family) error {
	p := &Pipeline{files: from, family: family}
	if err := errors.Join(p.loadSchedule(), family.configure(p)); err != nil {
		return err
	}
	text, file, err := from.read(vaePart, "config.json")
	if err != nil {
		return err
	}
	vae, err := sd.ParseVAEConfig(file, text)
	if err != nil {
		return err
	}
	f.Kind, f.Scheduler = family.name(), "FlowMatchEulerDiscreteScheduler"
	f.Pixels = family.side(vae.Factor())
	f.Pipeline, err = className(from.path)
	return err
}

// isNetwork reports whether a folder's part is one with weights, rather than a tokenizer or a scheduler.
func isNetwork(folder fs.FS) bool {
	_, err := fs.Stat(folder, "config.json")
	return err == nil
}

/* A small network and a small set of pictures, for tests of whole runs. */
#ifndef THAW_TESTS_TINY_H
#define THAW_TESTS_TINY_H

/* Pictures of each of the two classes. */
#define TINY_PHOTOS 24

/* Two stages, 25 steps in all with 36 photos to learn from and batches of 8. */
extern const char tiny_stages[];

/* Makes test_directory()/photos/{horizontal,vertical}/NN.png and tiny.yaml, the model. */
void tiny_make(void);
/* A path in test_directory(); valid for the next 15 calls. */
const char *tiny_path(const char *name);
/* A file in test_directory()/runs/<run>. */
const char *tiny_run_file(const char *run, const char *file);
void tiny_write(const char *name, const char *text);
/* Writes the experiment <name>.yaml with these stages and more top-level YAML; returns its path. */
const char *tiny_experiment(const char *name, const char *stages, const char *more);

/* Runs `thaw train` on the pictures from an imported network, <name>.yaml and <name>.safetensors in
 * test_directory(): the head, then what `patterns` say; fails if it does. */
void tiny_trains_imported(const char *name, const char *patterns);

/* Two weights files have the same tensors to the bit; else fails with the first that differs. */
void tiny_same_tensors(const char *a_path, const char *b_path);

#endif

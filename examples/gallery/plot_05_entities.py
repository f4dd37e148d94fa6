"""Named entities
==============

A tagger reads words, their characters and their shapes, so it can tag names that it has never seen. The sentences are
generated: half of the test names do not occur in training.
"""

# %%
# Sentences
# ---------

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceTagger

STARTS = ["Mar", "Jo", "Ka", "El", "An", "Ben", "Lu", "So", "Vi", "Da", "Fe", "Ro"]
MIDDLES = ["ri", "lo", "na", "ma", "li", "ne", "da", "vi"]
PLACE_ENDS = ["burg", "stadt", "ville", "ford", "ham", "port"]
PERSON_ENDS = ["a", "o", "an", "ella", "us", "ine"]
VERBS = ["visited", "left", "reached", "likes", "knows", "met"]
TIMES = ["yesterday", "today", "often", "again"]


def name(rng, ends):
    """An invented name; places and persons differ in their ends."""
    return rng.choice(STARTS) + rng.choice(MIDDLES) + rng.choice(ends)


def sentence(rng):
    """Words and tags: somebody meets somebody, or goes somewhere."""
    words, tags = [name(rng, PERSON_ENDS)], ["B-PER"]
    if rng.random() < 0.5:
        words, tags = [*words, name(rng, PERSON_ENDS)], [*tags, "I-PER"]
    is_place = rng.random() < 0.5
    words += [rng.choice(VERBS), name(rng, PLACE_ENDS if is_place else PERSON_ENDS)]
    tags += ["O", "B-LOC" if is_place else "B-PER"]
    if rng.random() < 0.7:
        words, tags = [*words, rng.choice(TIMES)], [*tags, "O"]
    return [*map(str, words), "."], [*tags, "O"]


rng = np.random.default_rng(0)
sentences = [sentence(rng) for _ in range(500)]
words, tags = [each[0] for each in sentences], [each[1] for each in sentences]
known = {word for each in words[:250] for word in each}
unknown = np.mean([word not in known for each in words[250:] for word in each if word[0].isupper()])
print(words[0], tags[0])
print(f"{unknown:.0%} of the test names do not occur in training")

# %%
# Training and F1
# ---------------
# With and without characters, on the same sentences. An entity counts if its type and both of its ends are right.

taggers = {}
for character_cell in (None, "cnn"):
    tagger = SequenceTagger(
        cell="gru", hidden_size=32, embedding_size=32, character_cell=character_cell, word_dropout=0.1, lr=1e-2,
        max_epochs=15,
    )  # fmt: skip
    taggers[character_cell] = tagger.fit(words[:250], tags[:250])
    print(f"characters read by {character_cell}: F1 {tagger.score(words[250:], tags[250:]):.3f}")

# %%
# How sure is it?
# ---------------
# The conditional random field gives the probability of each tag of each word, over all tag sequences.

tagger = taggers["cnn"]
text = ["Tamara", "Johnston", "left", "Ravensburg", "today", "."]
probabilities = tagger.predict_proba([text])[0]
print(list(zip(text, tagger.predict([text])[0], strict=True)))
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
image = axis.imshow(probabilities.T, cmap="viridis", vmin=0, vmax=1, aspect="auto")
axis.set_xticks(range(len(text)), text)
axis.set_yticks(range(len(tagger.classes_)), tagger.classes_)
figure.colorbar(image, label="probability")
plt.show()

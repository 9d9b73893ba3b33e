"""What a model knows: k-NN and linear probes, zero-shot classification, test-time augmentation, pictures of features.

::

    from lucid import evaluation, models

    model = models.from_checkpoint("convnext_tiny.fb_in22k")
    train = evaluation.extract_features(model, train_loader)
    test = evaluation.extract_features(model, test_loader)
    print(evaluation.knn(train.values, train.labels, test.values).accuracy(test.labels))
    probe = evaluation.linear_probe(train.values, train.labels)
    print(probe.predict(test.values).accuracy(test.labels))
    test.save("test.safetensors")

Features are NumPy arrays (N, D), so those of any other program will do. The linear probe and t-SNE are scikit-learn's,
pictures need matplotlib and Pillow: ``pip install "lucid-mlx[train]"``. ``lucid probe`` does all of this for a folder.
"""

from lucid.evaluation._linear_probe import LinearProbe, linear_probe
from lucid.evaluation._zero_shot import ZeroShotClassifier, zero_shot
from lucid.evaluation.duplicates import near_duplicates
from lucid.evaluation.features import Features, extract_features
from lucid.evaluation.neighbors import Predictions, knn, nearest_neighbors
from lucid.evaluation.pictures import neighbor_sheet, scatter_plot
from lucid.evaluation.projection import pca, tsne
from lucid.evaluation.text_embeddings import TextEmbeddings
from lucid.evaluation.view_average import ViewAverage

__all__ = [
    "Features",
    "LinearProbe",
    "Predictions",
    "TextEmbeddings",
    "ViewAverage",
    "ZeroShotClassifier",
    "extract_features",
    "knn",
    "linear_probe",
    "near_duplicates",
    "nearest_neighbors",
    "neighbor_sheet",
    "pca",
    "scatter_plot",
    "tsne",
    "zero_shot",
]

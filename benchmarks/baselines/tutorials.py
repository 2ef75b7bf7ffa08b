"""The training loops of the three tutorials, written as a tutorial writes them.

They must not know Tabserve. Each takes scaled float32 features and int64 classes, prints what a tutorial prints, and
returns the trained network. The first layer is made first and so on, so a seed gives the same initial weights as ours
does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class CancerNet(nn.Module):
    """9-15-15-1 with dropout; the answer is a probability."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(9, 15)
        self.fc2 = nn.Linear(15, 15)
        self.dropout = nn.Dropout(0.2)
        self.fc3 = nn.Linear(15, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, 1) from features (N, 9)."""
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        x = self.dropout(x)
        return torch.sigmoid(self.fc3(x))


class IrisNet(nn.Module):
    """4-32-16-3; the answer is logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 32)
        self.fc2 = nn.Linear(32, 16)
        self.fc3 = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 3) from features (N, 4)."""
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class BlobsNet(nn.Module):
    """2-10-1; the answer is a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 10)
        self.fc2 = nn.Linear(10, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit (N, 1) from features (N, 2)."""
        logits: Tensor = self.fc2(torch.relu(self.fc1(x)))
        return logits


def cancer(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, seed: int) -> nn.Module:
    """Train with SGD on shuffled batches of 128 for 60 epochs; print the loss every 10."""
    torch.manual_seed(seed)
    model = CancerNet()
    loader = DataLoader(TensorDataset(x, y.float().unsqueeze(1)), batch_size=128, shuffle=True)
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(60):
        model.train()
        running_loss = 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * len(inputs)
        if (epoch + 1) % 10 == 0:
            print(f"Epoch {epoch + 1}/60, Loss: {running_loss / len(x):.4f}")
    model.eval()
    with torch.no_grad():
        accuracy = ((model(test_x) > 0.5).squeeze(1) == test_y).float().mean().item()
    print(f"Accuracy: {accuracy:.4f}")
    return model


def iris(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, seed: int) -> nn.Module:
    """Train with Adam on all rows at once for 100 epochs; print the test accuracy every 20."""
    torch.manual_seed(seed)
    model = IrisNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for epoch in range(100):
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (epoch + 1) % 20 == 0:
            model.eval()
            with torch.no_grad():
                accuracy = (model(test_x).argmax(dim=1) == test_y).float().mean().item()
            print(f"Epoch {epoch + 1}/100, Loss: {losses[-1]:.4f}, Test accuracy: {accuracy:.4f}")
    return model


def blobs(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, seed: int) -> nn.Module:
    """Train with Adam on all rows at once for 1000 epochs; print the test accuracy every 100."""
    torch.manual_seed(seed)
    model = BlobsNet()
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for epoch in range(1000):
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x).squeeze(1), y.float())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (epoch + 1) % 100 == 0:
            model.eval()
            with torch.no_grad():
                accuracy = ((model(test_x).squeeze(1) > 0) == test_y).float().mean().item()
            print(f"Epoch {epoch + 1}/1000, Loss: {losses[-1]:.4f}, Test accuracy: {accuracy:.4f}")
    return model
